"""The Lightning module that trains a classifier. It holds no mathematics."""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from alignment import Candidates, alignment_penalty, gradient_norm_penalty
from alignment.contracts import check_choice
from alignment.gradients import as_variable
from alignment.residuals import Residual
from generators import ResidualEstimator
from generators.descriptions import check_fits
from generators.global_batch import Portion, SharedGenerator, averaged, portion_of_step, weight_of
from generators.networks.exchanged_norm import count_samples, exchange_batch_norm
from generators.store import SelfFillingResidual, for_samples
from training.checkpoints import FORMAT, NETWORK_KEY, load_weights
from training.combiners import Combiner, Gradients
from training.combining import check_combination, separate_gradients, with_gradient
from training.conflict import Conflict, conflict
from training.data import Batch, DataSet
from training.data.residuals import named_residual
from training.estimator import check_residual, estimator_for
from training.gradient_log import of_conflict, of_layers, watched_clean_loss
from training.networks import build_network
from training.objectives import Losses, Objective, Plain, not_negative
from training.optimizers import in_plain_form
from training.seeds import derived_seed
from training.steps_recorded import StepsRecorded

OptimizerCallable = Callable[[Iterable[Any]], Optimizer]
SchedulerCallable = Callable[[Optimizer], LRScheduler]
PENALTIES = ("alignment", "gradient_norm")
"""Losses that an objective does not make."""
PenaltyTarget = Literal["clean", "adversarial", "own"]


class Classifier(StepsRecorded):
    """Trains a named network with an objective and, if asked, the alignment penalty L_α and a gradient combiner.

    Without a combiner the losses are summed and differentiated once. With one, each loss has its own gradient,
    averaged over processes and in the units of the loss also under mixed precision, and the combiner makes of them
    the one that is followed; the clean loss CE(x, y) joins the objective's losses where it is not among them.

    All randomness of an epoch depends on the seed and the epoch alone, so that a run resumed from a checkpoint made
    at the end of an epoch ends where an uninterrupted one does.

    Args:
        network: name of a network, see `training.build_network`.
        network_options: what that network takes.
        shape: of one input; a configuration takes it from the data set.
        num_classes: C; a configuration takes it from the data set.
        bounds: lowest and highest legal value of an input; a configuration takes them from the data set.
        objective: returns the named losses of a batch: `Plain`, `AT`, `TRADES`, `MART`, `CLP`, `AvMixup`, or `AWP`
            around one of them.
        combiner: makes one gradient of one per loss: `AGR`, `CAAT`, `WeightedSum`, `TorchJD`; None for the sum. There
            must be two losses or more to combine.
        combiner_start: first epoch, from 0, in which gradients are combined; before it the objective's losses are
            summed. Paper 2 takes 155 of 200.
        alignment_weight: λ_α ≥ 0 of paper 1, Eq. 9; 0 for none.
        gradient_weight: of the mean ‖∇ℓ‖₂, at least 0; 0 for none. The control for the alignment penalty: that one is
            of the direction of ∇ℓ alone, this one of its length alone, see `alignment.gradient_norm_penalty`.
        alignment_with: which loss the penalty is added to where gradients are combined, or "own" for a gradient of
            its own, named "alignment".
        residual: estimator for the penalty, by a name or path that `DataSet.residual` knows, or with the options of a
            file's, as `{residual: cgan.ckpt, options: {method: ours}}`.
        candidates: closest classes to consider in the penalty, see `alignment.closest_class`.
        signed: take the closest class in the penalty as the authors' program does, see `alignment.closest_class`.
        optimizer: makes an optimiser from parameters; None for the paper's Adam with 1e-4.
        scheduler: makes a learning-rate schedule.
        scheduler_interval: when the schedule is stepped.
        start_from: checkpoint whose weights training starts from, as `training.load_classifier` reads it.
        log_layers: log the cosine between clean and adversarial gradient for every parameter tensor (paper 2, Fig. 1)
            from the first epoch on, also where nothing is combined. There it takes two backward passes more, and a
            forward pass where the objective makes no clean one; the training is the same, but for what a network
            draws on a GPU, as for dropout.
        graphs: take a training step as one CUDA graph where that is possible, see `training.recorded`; it ends where
            a step of single kernels does, to rounding.
        channels_last: keep the weights of convolutions in the layout that a GPU is faster with; None where it is one.
        seed: of initialisation, attacks and dropout.

    Raises:
        ValueError: if λ_α is negative or not finite, the combiner's start is below 0, the combiner has nothing to
            combine or the penalty no loss to join, or network and options do not fit.
    """

    def __init__(
        self,
        network: str = "small_cnn",
        network_options: dict[str, Any] | None = None,
        shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 2,
        bounds: tuple[float, float] = (-1.0, 1.0),
        objective: Objective | None = None,
        combiner: Combiner | None = None,
        combiner_start: int = 0,
        alignment_weight: float = 0.0,
        gradient_weight: float = 0.0,
        alignment_with: PenaltyTarget = "clean",
        residual: dict[str, Any] | str = "auto",
        candidates: Candidates = None,
        signed: bool = False,
        optimizer: OptimizerCallable | None = None,
        scheduler: SchedulerCallable | None = None,
        scheduler_interval: Literal["epoch", "step"] = "epoch",
        start_from: Path | None = None,
        log_layers: bool = False,
        graphs: bool = True,
        channels_last: bool | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if combiner_start < 0:
            raise ValueError(f"`combiner_start` should be at least 0. Found {combiner_start}.")
        check_choice(alignment_with, get_args(PenaltyTarget), "alignment_with")
        named_residual(residual)
        self.description = {
            "format": FORMAT,
            "network": network,
            "options": dict(network_options or {}),
            "shape": list(shape),
            "num_classes": num_classes,
            "bounds": list(bounds),
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(seed, "initialisation"))
            self.network: nn.Module = build_network(
                network, shape=shape, num_classes=num_classes, bounds=bounds, **(network_options or {})
            )
        if start_from is not None:
            load_weights(self.network, start_from)
        self.bounds, self.seed, self.log_layers = bounds, seed, log_layers
        self.objective = objective or Plain()
        self.combiner, self.combiner_start = combiner, combiner_start
        self.alignment_weight = not_negative(alignment_weight, "alignment_weight")
        self.gradient_weight = not_negative(gradient_weight, "gradient_weight")
        self.alignment_with = alignment_with
        self.residual, self.candidates, self.signed = residual, candidates, signed
        self.optimizer, self.scheduler = optimizer or partial(Adam, lr=1e-4), scheduler
        self.scheduler_interval = scheduler_interval
        self.estimator: ResidualEstimator | None = None
        self.graphs, self.channels_last = graphs, channels_last
        if combiner is not None and (names := getattr(self.objective, "names", None)) is not None:
            self._check_combination(dict.fromkeys(["clean", *names]))

    def forward(self, x: Tensor) -> Tensor:
        """Logits `(B, C)`."""
        return self.network(x)

    def setup(self, stage: str) -> None:
        """Lay out the weights, and build the residual estimator, or see that one that is not used exists."""
        if stage != "fit":
            return
        if self.trainer.world_size > 1:
            exchange_batch_norm(self.network)
        on_gpu = self.trainer.strategy.root_device.type == "cuda"
        if on_gpu if self.channels_last is None else self.channels_last:
            self.network.to(memory_format=torch.channels_last)
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, DataSet):
            check_fits(self.description, "The Classifier", num_classes=data.num_classes, bounds=data.bounds)
            if self.alignment_weight > 0:
                self.estimator = estimator_for(data, self.residual, self._residuals_file())
                if isinstance(self.estimator, SelfFillingResidual):
                    rank_zero_info(self.estimator.cost)
            else:
                check_residual(data, self.residual)
        elif self.alignment_weight > 0:
            raise ValueError(
                "`alignment_weight` above 0 needs residuals, and so a DataSet of training.data as the trainer's "
                f"datamodule. Found {type(data).__name__}."
            )

    def _residuals_file(self) -> Path | None:
        """Where residuals that are searched for are kept: beside the checkpoints, for a run that is resumed."""
        folder = getattr(self.trainer.checkpoint_callback, "dirpath", None)
        return None if folder is None else Path(folder) / f"residuals-{self.global_rank}"

    def _check_combination(self, losses: Collection[str]) -> None:
        """Refuse a combiner that cannot work with losses of these names."""
        penalty = self.alignment_with if self.alignment_weight > 0 or self.gradient_weight > 0 else None
        check_combination(self.combiner, losses, penalty, type(self.objective).__name__)  # type: ignore[arg-type]

    @property
    def combining(self) -> bool:
        """Whether this epoch's gradients are combined."""
        return self.combiner is not None and self.current_epoch >= self.combiner_start

    @property
    def watching(self) -> bool:
        """Whether this epoch's clean loss is there only so that its gradient is compared with the adversarial one."""
        names = getattr(self.objective, "names", ())
        return self.log_layers and not self.combining and "adversarial" in names and "clean" not in names

    def on_train_epoch_start(self) -> None:
        """Make the global randomness (dropout, combiners of TorchJD) a function of seed and epoch."""
        torch.manual_seed(derived_seed(self.seed, "epoch", self.current_epoch))

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """The sum of the losses, whose gradient is theirs, or what the combiner makes of theirs."""
        # The process was a part of the seed when each drew for itself; the first one's numbers are kept.
        randomness = (self.seed, "attack", self.current_epoch, batch_index, 0)
        if self.recorded is not None:
            return self.recorded.take(batch, *randomness)
        portion = portion_of_step(self.trainer, len(batch.y), batch_index)
        generator = SharedGenerator(self.device, portion).manual_seed(derived_seed(*randomness))
        if portion.processes > 1:
            count_samples(self.network, portion.here > 0)
        residual = for_samples(self.estimator, batch.indices) if self.estimator else None
        losses = self.losses(batch.x, batch.y, generator, residual)
        total = self.total(losses)
        self._log(portion, {f"train_{name}": value for name, value in losses.items()} | {"train_loss": total})
        if portion.processes > 1:
            losses = {name: portion.weight * loss for name, loss in losses.items()}
            total = portion.weight * total
        if self.combining:
            return self._combined(total, losses, portion)
        self._log(portion, self._watched(losses))
        return total

    def losses(
        self,
        x: Float[Tensor, "B *shape"],
        y: Int[Tensor, " B"],
        generator: torch.Generator,
        residual: Residual | Tensor | None = None,
        target: Int[Tensor, " B"] | None = None,
    ) -> Losses:
        """Those of the objective, the clean one where gradients are combined or watched, and the weighted penalty.

        Args:
            x: inputs, `(B, *shape)`.
            y: true classes, `(B,)`.
            generator: randomness of this step.
            residual: for the penalty, see `alignment.alignment_penalty`; None for no penalty.
            target: the closest classes, where they are known.
        """
        x = x if residual is None and not self.gradient_weight else as_variable(x)
        clean_logits = cache(lambda: self.network(x))
        losses = self.objective(self.network, x, y, clean_logits, bounds=self.bounds, generator=generator)
        if self.combining and "clean" not in losses:
            losses = {"clean": F.cross_entropy(clean_logits(), y)} | losses
        closest: Any = {"candidates": self.candidates, "signed": self.signed, "target": target}
        if residual is not None:
            penalty = alignment_penalty(self.network, x, y, residual, logits=clean_logits(), **closest)
            losses = losses | {"alignment": self.alignment_weight * penalty}
        if self.gradient_weight:
            length = gradient_norm_penalty(self.network, x, y, logits=clean_logits(), **closest)
            losses = losses | {"gradient_norm": self.gradient_weight * length}
        if self.watching:
            losses = {"clean": watched_clean_loss(self.network, x, y, clean_logits)} | losses
        return losses

    def total(self, losses: Losses) -> Float[Tensor, ""]:
        """The sum of the losses, but for a clean one that is only watched."""
        return torch.stack([loss for name, loss in losses.items() if name != "clean" or not self.watching]).sum()

    def _joined(self, losses: Losses) -> Losses:
        """The losses that have a gradient of their own: penalties are added to the one that is named."""
        joined = {name: loss for name, loss in losses.items() if name not in PENALTIES}
        if self.combiner is not None:
            self._check_combination(joined)
        penalties = [losses[name] for name in PENALTIES if name in losses]
        if self.alignment_with == "own" or not penalties:
            return losses
        return joined | {self.alignment_with: torch.stack([joined[self.alignment_with], *penalties]).sum()}

    def _combined(self, total: Tensor, losses: Losses, portion: Portion) -> Tensor:
        """The sum of the losses with the gradient that the combiner makes of theirs."""
        with torch.autocast(self.device.type, enabled=False):  # a backward pass is never made in mixed precision
            named, combined, measured = self._combination(losses)
        self._log(portion, self._said(measured, named))
        return with_gradient(total, list(named.values()), combined)

    def _combination(self, losses: Losses) -> tuple[dict[str, nn.Parameter], list[Tensor], Conflict | None]:
        """The weights that a loss reaches, their combined gradient, and how far the gradients disagree."""
        named, gradients = self._separate(self._joined(losses))
        both = gradients.keys() >= {"clean", "adversarial"}
        measured = conflict(gradients["clean"], gradients["adversarial"]) if both else None
        return named, self.combiner(gradients, measured), measured  # type: ignore[misc]

    def _separate(self, losses: Losses, *, keep_graph: bool = False) -> tuple[dict[str, nn.Parameter], Gradients]:
        """The weights that a loss reaches, and the gradient of each loss in them, averaged over processes."""
        trained = {name: weight for name, weight in self.network.named_parameters() if weight.requires_grad}
        named, gradients = separate_gradients(losses, trained, self._loss_scale(), keep_graph=keep_graph)
        if self.trainer.world_size > 1:
            gradients = {name: averaged(gradient, self.trainer) for name, gradient in gradients.items()}
        return named, gradients

    def _watched(self, losses: Losses) -> dict[str, Tensor]:
        """What is logged of the gradients where they are not combined, if asked; the graph is kept."""
        if not self.log_layers or not losses.keys() >= {"clean", "adversarial"}:
            return {}
        joined = self._joined(losses)
        with torch.autocast(self.device.type, enabled=False):
            named, found = self._separate({k: joined[k] for k in ("clean", "adversarial")}, keep_graph=True)
        measured = conflict(found["clean"], found["adversarial"])
        return of_conflict(measured, combined=False) | of_layers(measured, named)

    def gradients(
        self, total: Tensor, losses: Losses, weights: Sequence[Tensor]
    ) -> tuple[list[Tensor | None], dict[str, Tensor]]:
        """The gradient that a step follows in each of some weights, None where there is none, and what to log of it.

        Args:
            total: the sum of the losses.
            losses: by name; their graph is freed.
            weights: that are trained.
        """
        if not self.combining:
            watched = self._watched(losses)
            return list(torch.autograd.grad(total, weights, allow_unused=True)), watched
        named, combined, measured = self._combination(losses)
        found = {id(weight): gradient for weight, gradient in zip(named.values(), combined, strict=True)}
        return [found.get(id(weight)) for weight in weights], self._said(measured, named)

    def _log(self, portion: Portion, values: dict[str, Tensor]) -> None:
        """Log means over the samples of an epoch."""
        count, together = weight_of(portion.here), portion.processes > 1
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=count, sync_dist=together)

    def _loss_scale(self) -> Tensor | float:
        """What a loss is multiplied by under mixed precision in float16, so that gradients do not underflow."""
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        return 1.0 if scaler is None else scaler.scale(torch.ones((), device=self.device))

    def _said(self, measured: Conflict | None, names: Iterable[str]) -> dict[str, Tensor]:
        """What is logged of combined gradients."""
        return of_conflict(measured, combined=True) | (of_layers(measured, names) if self.log_layers else {})

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Accuracy."""
        correct = (self.network(batch.x).argmax(dim=1) == batch.y).float().mean()
        self.log("val_accuracy", correct, prog_bar=True, batch_size=weight_of(len(batch.y)), sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Optimiser and schedule as configured."""
        optimizer = self.optimizer(p for p in self.network.parameters() if p.requires_grad)
        if self.scheduler is None:
            return optimizer
        schedule = {"scheduler": self.scheduler(optimizer), "interval": self.scheduler_interval}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say in plain values which network the weights belong to, and keep nothing that only a GPU reads."""
        checkpoint[NETWORK_KEY] = self.description
        in_plain_form(checkpoint)

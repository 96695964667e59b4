"""The Lightning module that trains a classifier. It holds no mathematics."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from itertools import compress
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from alignment import alignment_penalty
from alignment.contracts import check_choice
from alignment.gradients import as_variable
from generators import ResidualEstimator
from generators.store import StoredResidual, for_samples
from training.checkpoints import FORMAT, NETWORK_KEY, load_weights
from training.combiners import Combiner
from training.conflict import Conflict, conflict
from training.data import Batch, DataSet
from training.networks import build_network
from training.objectives import Losses, Objective, Plain
from training.seeds import derived_seed, generator_for

OptimizerCallable = Callable[[Iterable], Optimizer]
SchedulerCallable = Callable[[Optimizer], LRScheduler]
PenaltyTarget = Literal["clean", "adversarial", "own"]


class Classifier(LightningModule):
    """Trains a named network with an objective and, if asked, the alignment penalty L_α and a gradient combiner.

    Without a combiner the losses are summed and differentiated once. With one, each loss has its own gradient,
    averaged over processes and in the units of the loss also under mixed precision, and the combiner answers the one
    gradient that is followed; the clean loss CE(x, y) joins the objective's losses where it is not among them.

    All randomness of an epoch depends on the seed and the epoch alone, so that a run resumed from a checkpoint made
    at the end of an epoch ends where an uninterrupted one does.

    Args:
        network: name of a network, see `training.build_network`.
        network_options: what that network takes.
        shape: of one input; a configuration takes it from the data set.
        num_classes: C; a configuration takes it from the data set.
        bounds: lowest and highest legal value of an input; a configuration takes them from the data set.
        objective: answers the named losses of a batch: `Plain`, `AT`, `TRADES`, `MART`, `CLP`, `AvMixup`, or `AWP`
            around one of them.
        combiner: makes one gradient of one per loss: `AGR`, `CAAT`, `WeightedSum`, `TorchJD`; None for the sum.
        combiner_start: first epoch in which gradients are combined; before it the objective's losses are summed.
            Paper 2 takes 155 of 200.
        alignment_weight: λ_α of paper 1, Eq. 9; 0 for none.
        alignment_with: which loss the penalty is added to where gradients are combined, or "own" for a gradient of
            its own, named "alignment".
        residual: estimator for the penalty, by a name or path that `DataSet.residual` knows.
        candidates: closest classes to consider in the penalty; None for all.
        optimizer: makes an optimiser from parameters; None for the paper's Adam with 1e-4.
        scheduler: makes a learning-rate schedule.
        scheduler_interval: when the schedule is stepped.
        start_from: checkpoint whose weights training starts from, as `training.load_classifier` reads it.
        log_layers: log the cosine between clean and adversarial gradient for every parameter (paper 2, Fig. 1).
        seed: of initialisation, attacks and dropout.
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
        alignment_with: PenaltyTarget = "clean",
        residual: str = "auto",
        candidates: int | None = None,
        optimizer: OptimizerCallable | None = None,
        scheduler: SchedulerCallable | None = None,
        scheduler_interval: Literal["epoch", "step"] = "epoch",
        start_from: Path | None = None,
        log_layers: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if alignment_weight < 0:
            raise ValueError(f"`alignment_weight` should be at least 0. Found {alignment_weight}.")
        check_choice(alignment_with, get_args(PenaltyTarget), "alignment_with")
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
        self.alignment_weight, self.alignment_with = alignment_weight, alignment_with
        self.residual, self.candidates = residual, candidates
        self.optimizer, self.scheduler = optimizer or partial(Adam, lr=1e-4), scheduler
        self.scheduler_interval = scheduler_interval
        self.estimator: ResidualEstimator | None = None
        self._losses: Losses = {}
        self._conflict: Conflict | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Logits `(B, C)`."""
        return self.network(x)

    def setup(self, stage: str) -> None:
        """Build the residual estimator, which needs the data."""
        if stage == "fit" and self.alignment_weight > 0:
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            if not isinstance(data, DataSet):
                raise ValueError(
                    "`alignment_weight` above 0 needs residuals, and so a DataSet of training.data as the trainer's "
                    f"datamodule. Found {type(data).__name__}."
                )
            self.estimator = data.residual(self.residual)
            if isinstance(self.estimator, StoredResidual) and data.augments:
                raise ValueError(
                    "`residual` should not be a store where `data` is augmented, since a stored residual belongs to "
                    f"one unaugmented image. Found {self.residual}. Name the estimator's checkpoint, or leave out "
                    "the augmentation."
                )

    @property
    def combining(self) -> bool:
        """Whether this epoch's gradients are combined."""
        return self.combiner is not None and self.current_epoch >= self.combiner_start

    def on_train_epoch_start(self) -> None:
        """Make the global randomness (dropout) a function of seed and epoch."""
        torch.manual_seed(derived_seed(self.seed, "epoch", self.current_epoch))

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """The sum of the objective's losses and the weighted penalty."""
        x = as_variable(batch.x) if self.estimator else batch.x
        clean_logits = cache(lambda: self.network(x))
        losses = self.objective(
            self.network,
            x,
            batch.y,
            clean_logits,
            bounds=self.bounds,
            generator=generator_for(
                self.seed, "attack", self.current_epoch, batch_index, self.global_rank, device=self.device
            ),
        )
        if self.combining and "clean" not in losses:
            losses = {"clean": F.cross_entropy(clean_logits(), batch.y)} | losses
        logged = dict(losses)
        if self.estimator:
            penalty = alignment_penalty(
                self.network,
                x,
                batch.y,
                for_samples(self.estimator, batch.indices),
                candidates=self.candidates,
                logits=clean_logits(),
            )
            logged["alignment"] = losses["alignment"] = self.alignment_weight * penalty
        total = torch.stack(list(losses.values())).sum()
        self.log_dict(
            {f"train_{name}": value for name, value in logged.items()} | {"train_loss": total},
            on_step=False,
            on_epoch=True,
            batch_size=len(x),
        )
        if self.combining and self.estimator and self.alignment_with != "own":
            if self.alignment_with not in losses:
                raise ValueError(
                    f"`alignment_with` should name a loss of {type(self.objective).__name__}: "
                    f"{', '.join(logged)}. Found {self.alignment_with!r}."
                )
            losses[self.alignment_with] = losses[self.alignment_with] + losses.pop("alignment")
        self._losses = losses
        return total

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """One backward pass for the sum, or one for each loss, and the combination of their gradients."""
        if not self.combining:
            return super().backward(loss, *args, **kwargs)
        named, gradients = self._gradients()
        both = gradients.keys() >= {"clean", "adversarial"}
        measured = conflict(gradients["clean"], gradients["adversarial"]) if both else None
        combined = self.combiner(gradients, measured)  # type: ignore[misc]
        share = self._loss_scale() / self.trainer.accumulate_grad_batches
        for weight, gradient in zip(named.values(), torch._foreach_mul(combined, share), strict=True):
            weight.grad = gradient if weight.grad is None else weight.grad + gradient
        if measured is not None:
            self._log_conflict(measured, list(named))
        return None

    def _gradients(self) -> tuple[dict[str, nn.Parameter], dict[str, list[Tensor]]]:
        """The parameters that some loss reaches, and the gradient of each loss, averaged over processes."""
        trained = {name: weight for name, weight in self.network.named_parameters() if weight.requires_grad}
        scale, last = self._loss_scale(), [*self._losses][-1]
        found = {
            name: torch.autograd.grad(
                scale * loss, list(trained.values()), retain_graph=name != last, allow_unused=True
            )
            for name, loss in self._losses.items()
        }
        self._losses = {}
        reached = [any(part is not None for part in parts) for parts in zip(*found.values(), strict=True)]
        named = dict(compress(trained.items(), reached))
        gradients = {}
        for name, parts in found.items():
            pairs = zip(compress(parts, reached), named.values(), strict=True)
            filled = [torch.zeros_like(weight) if part is None else part for part, weight in pairs]
            gradients[name] = self._averaged(list(torch._foreach_div(filled, scale)))
        return named, gradients

    def _averaged(self, gradient: list[Tensor]) -> list[Tensor]:
        """The mean over processes, in one exchange."""
        if self.trainer.world_size == 1:
            return gradient
        flat = torch.cat([part.flatten() for part in gradient])
        whole: Tensor = self.trainer.strategy.reduce(flat, reduce_op="mean")
        parts = whole.split([part.numel() for part in gradient])
        return [part.view_as(like) for part, like in zip(parts, gradient, strict=True)]

    def _loss_scale(self) -> Tensor | float:
        """What a loss is multiplied by under mixed precision in float16, so that gradients do not underflow."""
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        return 1.0 if scaler is None else scaler.scale(torch.ones((), device=self.device))

    def _log_conflict(self, measured: Conflict, names: list[str]) -> None:
        """GOP frequency (paper 2), the conflict μ and its factors (paper 3), and cosines of layers if asked."""
        found = {
            "train_gop_frequency": measured.opposed,
            "train_mu": measured.mu,
            "train_cosine": measured.cosine,
            "train_clean_norm": measured.clean_norm,
            "train_adversarial_norm": measured.adversarial_norm,
        }
        if self.log_layers:
            found |= {f"cosine/{name}": value for name, value in zip(names, measured.cosines, strict=True)}
        self.log_dict({name: value.float() for name, value in found.items()}, on_step=False, on_epoch=True)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Accuracy."""
        correct = (self.network(batch.x).argmax(dim=1) == batch.y).float().mean()
        self.log("val_accuracy", correct, prog_bar=True, batch_size=len(batch.y), sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Optimiser and schedule as configured."""
        optimizer = self.optimizer(p for p in self.network.parameters() if p.requires_grad)
        if self.scheduler is None:
            return optimizer
        schedule = {"scheduler": self.scheduler(optimizer), "interval": self.scheduler_interval}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say in plain values which network the weights belong to."""
        checkpoint[NETWORK_KEY] = self.description

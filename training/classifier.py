"""The Lightning module that trains a classifier. It holds no mathematics."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from alignment import Candidates
from alignment.contracts import check_choice
from alignment.gradients import as_variable, logits_of
from alignment.logits import unwrapped
from generators import ResidualEstimator
from generators.global_batch import SharedGenerator, portion_of_step, weight_of
from generators.networks.exchanged_norm import count_samples, exchange_batch_norm
from generators.store import for_samples
from training.checkpoints import FORMAT, NETWORK_KEY, load_weights
from training.combiners import Combiner
from training.data import Batch
from training.data.residuals import named_residual
from training.directions import Directions, Search
from training.estimator import estimator_of_training
from training.gradient_log import watched_clean_loss
from training.networks import build_network
from training.networks.outputs import check_logits
from training.objective import takes_residual
from training.objectives import Losses, Objective, Plain
from training.optimizers import in_plain_form
from training.penalties import Penalty, PenaltyStep, asked_for
from training.seeds import derived_seed
from training.steps_combined import PenaltyTarget, StepsCombined

OptimizerCallable = Callable[[Iterable[Any]], Optimizer]
SchedulerCallable = Callable[[Optimizer], LRScheduler]


class Classifier(StepsCombined):
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
        penalty: one in the place of these two, or beside them: `Alignment`, `LenientAlignment`,
            `WeightedAlignment`, `GradientNorm`, `Edges`, `Jacobian`, or one of your own, see `training.penalty`.
        alignment_with: which loss penalties are added to where gradients are combined, or "own" for a gradient of
            its own for each, by its name, such as "alignment".
        residual: estimator for what needs Δ̂x, by a name or path that `DataSet.residual` knows, or with the options of
            a file's, as `{residual: cgan.ckpt, options: {method: ours}}`.
        candidates: closest classes to consider in penalties, see `alignment.closest_class`.
        signed: take the closest classes in penalties as the authors' program does, see `alignment.closest_class`.
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
        ValueError: if a weight is negative or not finite, a penalty is there twice or takes other inputs, the
            combiner's start is below 0, the combiner has nothing to combine or the penalty no loss to join, or
            network and options do not fit.
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
        penalty: Penalty | None = None,
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
        if (check_network := getattr(self.objective, "check_network", None)) is not None:
            check_network(self.network)
        self.combiner, self.combiner_start = combiner, combiner_start
        self.penalties = asked_for(alignment_weight, gradient_weight, penalty, tuple(shape))
        self.alignment_with, self.residual = alignment_with, residual
        count = max([int(takes_residual(self.objective)), *(one.closest for one in self.penalties)])
        self.search = Search(num_classes, count, candidates, signed)
        self.optimizer, self.scheduler = optimizer or partial(Adam, lr=1e-4), scheduler
        self.scheduler_interval = scheduler_interval
        self.estimator: ResidualEstimator | None = None
        self.graphs, self.channels_last = graphs, channels_last
        if combiner is not None and (names := getattr(self.objective, "names", None)) is not None:
            self._check_combination(dict.fromkeys(["clean", *names]))

    def forward(self, x: Tensor) -> Tensor:
        """Logits `(B, C)`, also of a network that returns more, see `alignment.logits.unwrapped`."""
        return unwrapped(self.network(x), len(x))

    def setup(self, stage: str) -> None:
        """Lay out the weights, and build the residual estimator, or see that one that is not used exists."""
        if stage != "fit":
            return
        check_logits(self.network, self.description)
        if self.trainer.world_size > 1:
            exchange_batch_norm(self.network)
        on_gpu = self.trainer.strategy.root_device.type == "cuda"
        if on_gpu if self.channels_last is None else self.channels_last:
            self.network.to(memory_format=torch.channels_last)
        self.estimator = estimator_of_training(self)

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
        losses = self.losses(batch.x, batch.y, generator, self.search.directions(self.network, batch, residual))
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
        directions: Directions | None = None,
    ) -> Losses:
        """Those of the objective, the clean one where gradients are combined or watched, and the weighted penalties.

        Args:
            x: inputs, `(B, *shape)`.
            y: true classes, `(B,)`.
            generator: randomness of this step.
            directions: the closest classes and where they are, as `search` and `estimator` find them; None where
                nothing needs them.
        """
        x = as_variable(x) if self.penalties else x
        clean_logits = cache(lambda: self(x))
        objective: Any = self.objective
        if directions is not None and takes_residual(objective):
            objective = objective.with_residual(directions.closest())
        losses = objective(self.network, x, y, clean_logits, bounds=self.bounds, generator=generator)
        if self.combining and "clean" not in losses:
            losses = {"clean": F.cross_entropy(clean_logits(), y)} | losses
        for penalty in self.penalties:
            step = PenaltyStep(self.network, x, y, logits_of(lambda _: clean_logits(), x), generator, directions)
            losses = losses | {penalty.name: penalty(step)}
        if self.watching:
            losses = {"clean": watched_clean_loss(self.network, x, y, clean_logits)} | losses
        return losses

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Log the accuracy without attack as `val_accuracy`."""
        correct = (self(batch.x).argmax(dim=1) == batch.y).float().mean()
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

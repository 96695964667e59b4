"""A training step on tensors that stay where they are, from the batch to the optimiser, as a CUDA graph can hold it.

Lightning still makes the loop, the schedules and the checkpoints. Between two of its calls the step is taken here,
and nothing in it waits for the device: what its checks and its losses found is added up there, and read now and then.
"""

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from jaxtyping import Float
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.optim import Optimizer

from alignment.deferral import Deferred, deferred
from alignment.double import double_device, exactly
from alignment.residuals import residuals_of
from generators import ExactResidual
from generators.store import for_samples
from training.data import Batch
from training.directions import Directions
from training.graphs import Alone, Work
from training.known_residuals import known_residuals
from training.left_out import left_out
from training.optimizers import constants, is_recordable, laid_out_as, make_recordable
from training.seeds import derived_seed

if TYPE_CHECKING:
    from training.classifier import Classifier

LOOK = 50
"""Steps between two looks at what the checks found."""

HOOKS = ("on_before_backward", "on_after_backward", "on_before_optimizer_step", "on_before_zero_grad")
"""Between the parts of a step, where a graph lets nobody in."""

Runner = Callable[[Hashable, Work, torch.Generator], None]
"""Does work by its key, see `training.graphs.Repeated`: alone, or side by side with that of other trainings."""


class Buffers:
    """A batch, with its closest classes and the residuals to them, where every batch of its shape is put.

    Args:
        batch: the first one.
        closest: how many closest classes there are; 0 where none are needed.
        residuals: whether residuals to them are needed.
    """

    def __init__(self, batch: Batch, closest: int, residuals: bool) -> None:
        self.x, self.y = batch.x.clone(), batch.y.clone()
        targets = batch.y.new_zeros(len(batch.y), closest)
        found = batch.x.new_zeros(*targets.shape, *batch.x.shape[1:]) if residuals else None
        self.directions = Directions(targets, found) if closest else None

    def load(self, batch: Batch) -> None:
        """Take the values of a batch."""
        self.x.copy_(batch.x, non_blocking=True)
        self.y.copy_(batch.y, non_blocking=True)


def why_plain(module: "Classifier", trainer: Trainer) -> str | None:
    """Why the steps of a training cannot be taken here; None if they can."""
    parts = [module.objective, module.combiner, *module.penalties]
    own = [type(part).__module__ for part in parts if part is not None]
    hooked = [type(c).__name__ for c in trainer.callbacks if any(is_overridden(hook, c, Callback) for hook in HOOKS)]  # type: ignore[attr-defined]
    optimizer = trainer.optimizers[0]
    reasons = {
        "several processes train together": trainer.world_size > 1,
        "gradients are accumulated over batches": trainer.accumulate_grad_batches != 1,
        "float16 scales losses by what gradients it finds": getattr(trainer.precision_plugin, "scaler", None)
        is not None,
        f"{', '.join(hooked)} looks at gradients": bool(hooked),
        f"{type(optimizer).__name__} has no form for it": not is_recordable(optimizer),
        "an objective, combiner or penalty that is not of this package may change from step to step": any(
            not module.startswith("training.") for module in own
        ),
    }
    told = next((reason for reason, holds in reasons.items() if holds), None)
    return told or left_out(module.network, cast(Sequence[int], module.description["shape"]))


class RecordedTraining:
    """The steps of one classifier's training.

    Args:
        module: that is trained.
        optimizer: its one optimiser.
        runner: does the work of a step; None for `training.graphs.Alone`.
    """

    def __init__(self, module: "Classifier", optimizer: Optimizer, runner: Runner | None = None) -> None:
        self.module, self.optimizer = module, optimizer
        self.device = module.device
        if self.device.type == "cuda":
            make_recordable(optimizer)
        self.generator = torch.Generator(self.device)
        self.run: Runner = runner or Alone(self.device)
        self.buffers: dict[tuple[int, ...], Buffers] = {}
        self.weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        self.known = known_residuals(module)
        self.loss = torch.zeros((), device=self.device)
        self.totals: dict[str, Tensor] = {}
        self.wrong: dict[Hashable, tuple[Deferred, Tensor]] = {}
        self.taken = 0

    def take(self, batch: Batch, *parts: int | str) -> Float[Tensor, ""]:
        """One step; returns the loss, which the next step overwrites.

        Args:
            batch: on the device.
            parts: on which the step's randomness depends.

        Raises:
            ValueError: now and then, for what was wrong in a step since the last look.
        """
        self.generator.manual_seed(derived_seed(*parts))
        buffers = self._loaded(batch)
        kind = (batch.x.shape, self.module.combining, constants(self.optimizer))
        if buffers.directions is not None:
            self._find_directions(kind, buffers, buffers.directions, batch.indices)
        self.run(("step", *kind), partial(self._step, kind, buffers), self.generator)
        self.taken += 1
        if self.taken % LOOK == 0:
            self.look()
        return self.loss

    def look(self) -> None:
        """See whether a check found something, which waits for the device.

        Raises:
            ValueError: what that check says.
        """
        for checks, wrong in self.wrong.values():
            counts = wrong.tolist()
            wrong.zero_()
            checks.refuse(counts)

    def means(self) -> dict[str, Tensor]:
        """What was added up since the last call, each divided by the number of samples it is of."""
        found = {
            name: (total[0] / total[1]).float().to(self.device) for name, total in self.totals.items() if total[1]
        }
        for total in self.totals.values():
            total.zero_()
        return found

    def add(self, values: dict[str, Tensor], count: int) -> None:
        """Add up a mean over some samples of each value, on the device."""
        place = double_device(self.device)
        for name, value in values.items():
            total = self.totals.setdefault(name, torch.zeros(2, dtype=torch.float64, device=place))
            total.add_(torch.stack([exactly(value.detach()) * count, torch.full_like(total[0], count)]))

    def _loaded(self, batch: Batch) -> Buffers:
        buffers = self.buffers.get(tuple(batch.x.shape))
        if buffers is None:
            wanted = self.module.search.found, self.module.estimator is not None
            buffers = self.buffers[tuple(batch.x.shape)] = Buffers(batch, *wanted)
        buffers.load(batch)
        return buffers

    def _find_directions(self, kind: tuple[Any, ...], buffers: Buffers, found: Directions, indices: Tensor) -> None:
        """The closest classes, for which of two no network is asked, and residuals to them where needed."""
        if self.module.search.classes == 2:
            torch.sub(1, buffers.y.unsqueeze(1), out=found.targets)
        else:
            key = ("closest class", *kind)
            self.run(key, partial(self._find_closest, key, buffers, found.targets), self.generator)
        if found.residuals is not None:
            for number, target in enumerate(found.targets.unbind(1)):
                found.residuals[:, number].copy_(self._residual(kind, buffers, target, indices))

    def _find_closest(self, key: Hashable, buffers: Buffers, targets: Tensor) -> None:
        with deferred() as checks:
            targets.copy_(self.module.search.targets(self.module.network, buffers.x, buffers.y))
        self._note(key, checks)

    def _residual(self, kind: tuple[Any, ...], buffers: Buffers, target: Tensor, indices: Tensor) -> Tensor:
        """Residuals to the targets: looked up where they are known, else asked for, which may wait for the device."""
        if self.known is not None:
            return self.known(indices, buffers.x, target)
        estimator = for_samples(self.module.estimator, indices)  # type: ignore[arg-type]
        if not isinstance(estimator, ExactResidual):
            return residuals_of(estimator, buffers.x, buffers.y, target)
        with deferred() as checks:
            found = residuals_of(estimator, buffers.x, buffers.y, target)
        self._note(("residual", *kind), checks)
        return found

    def _step(self, kind: tuple[Any, ...], buffers: Buffers) -> None:
        """From a batch to moved weights."""
        module = self.module
        with deferred() as checks:
            losses = module.losses(buffers.x, buffers.y, self.generator, buffers.directions)
            total = module.total(losses)
            values = {f"train_{name}": value for name, value in losses.items()} | {"train_loss": total}
            with torch.autocast(self.device.type, enabled=False):
                gradients, measured = module.gradients(total, losses, self.weights)
                self._move(gradients)
                self.add(values | measured, len(buffers.x))
                self.loss.copy_(total.detach())
        self._note(("step", *kind), checks)

    def _move(self, gradients: list[Tensor | None]) -> None:
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient if gradient is None else laid_out_as(weight, gradient)
        trainer: Trainer = self.module.trainer
        self.module.configure_gradient_clipping(
            self.optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm
        )
        self.optimizer.step()

    def _note(self, key: Hashable, checks: Deferred) -> None:
        """Add up what the checks of some work found; their messages are about its last time."""
        if not checks.found:
            return
        counts = checks.count()
        total = self.wrong[key][1] if key in self.wrong else torch.zeros_like(counts)
        self.wrong[key] = (checks, total.add_(counts))

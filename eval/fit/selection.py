"""The best epoch is the one with the highest ε50% on the validation split (paper 1, section A.1)."""

import math
from collections.abc import Iterable
from functools import partial
from typing import Any, Literal, cast, get_args

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from alignment.contracts import check_choice, check_counts, check_number
from alignment.gradients import logits_of
from eval.robustness.radii import critical_radii
from generators.progress import Stage, stage
from training import Classifier, Strength, pgd
from training.attacks import Norm
from training.data import DataSet

MONITORED = "val_selection"
Keep = Literal["best", "last"]
CHANCE = 0.1
"""How far above 1/C an accuracy must be for its epoch to be a candidate."""


class Epsilon50(Callback):
    """Logs ε50% under PGD on the validation split after every epoch, as `val_epsilon50`.

    With `keep` "last" nothing is searched or chosen: the weights of the last epoch are kept, as paper 2 does, which
    needs no validation samples.

    What a checkpoint callback should monitor is `val_selection`: the same, but −1 before `first_epoch`, where logits
    are no numbers, and where the accuracy is that of chance: a classifier that always predicts one of two classes
    withstands everything on half of the samples, and its ε50% says nothing.

    Args:
        norm: of the ball.
        steps: gradient steps, κ ≥ 1.
        step_size: η; None for the default of `training.attacks.pgd`.
        resolution: relative width to which the median is closed, in (0, 1).
        first_epoch: epoch, from 0, from which on an epoch may be the best; the paper's 33 for CIFAR-10. None for the
            first one in which gradients are combined, or the first of all without a combiner.
        keep: the best epoch's weights, or the last one's.

    Raises:
        ValueError: if a number is out of its range, or the norm or what to keep is unknown.
    """

    def __init__(
        self,
        norm: Norm = "Linf",
        steps: int = 40,
        step_size: Strength | None = None,
        resolution: float = 0.02,
        first_epoch: int | None = None,
        keep: Keep = "best",
    ) -> None:
        check_choice(norm, get_args(Norm), "norm")
        check_choice(keep, get_args(Keep), "keep")
        check_counts(1, steps=steps)
        check_number(resolution, "resolution", "lie in (0, 1)", lambda value: 0 < value < 1)
        if first_epoch is not None:
            check_counts(0, first_epoch=first_epoch)
        self.norm, self.steps, self.step_size = norm, steps, step_size
        self.resolution, self.first_epoch, self.keep = resolution, first_epoch, keep
        self.last: float | None = None
        self.shown: InItsPrecision | None = None

    def state_dict(self) -> dict[str, float | None]:
        """Where the last search ended, so that a resumed run searches as an uninterrupted one."""
        return {"last": self.last}

    def load_state_dict(self, state: dict[str, float | None]) -> None:
        """Go on from there."""
        self.last = state["last"]

    def first(self, module: LightningModule) -> int:
        """The first epoch that may be the best one of a module's training."""
        if self.first_epoch is not None or self.keep == "last":
            return self.first_epoch or 0
        return module.combiner_start if isinstance(module, Classifier) and module.combiner is not None else 0

    def _shown(self, network: nn.Module) -> nn.Module:
        """The network in its precision, the same object in every epoch, so that attacks on it are recorded once."""
        if self.shown is None or self.shown.network is not network:
            self.shown = InItsPrecision(network)
        return self.shown

    def on_validation_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Search ε50% and log it."""
        if trainer.sanity_checking or self.keep == "last":
            return
        data = cast(DataSet, trainer.datamodule)  # type: ignore[attr-defined]
        network = self._shown(cast(Classifier, module).network)
        if not finite(network, data.batches("validation"), module.device):
            self.last = None
            module.log_dict({"val_epsilon50": math.nan, MONITORED: -1.0}, sync_dist=True)
            return
        step_size = None if self.step_size is None else float(self.step_size)
        with stage(Stage("validation", 10, "", done=9)):  # the end of an epoch
            radii = critical_radii(
                network,
                data.batches("validation"),
                partial(pgd, steps=self.steps, step_size=step_size, leave_when_fooled=True),
                norm=self.norm,
                resolution=self.resolution,
                only="median",
                bounds=data.bounds,
                guess=self.last,
                pilot=32,
                seed=trainer.current_epoch,
            )
        # The next search starts where this one ended; if it found nothing, with a pilot again.
        self.last = radii.epsilon50 if 0 < radii.epsilon50 < radii.epsilon_max else None
        above_chance = radii.accuracy_at(0.0) > 1 / data.num_classes + CHANCE
        allowed = trainer.current_epoch >= self.first(module) and above_chance
        module.log("val_epsilon50", radii.epsilon50, prog_bar=True, sync_dist=True)
        module.log(MONITORED, radii.epsilon50 if allowed else -1.0, sync_dist=True)


class InItsPrecision(nn.Module):
    """A network that is shown inputs of the type of its own weights, such as bfloat16; attacks stay in theirs.

    Args:
        network: from `(B, *shape)` to logits `(B, C)`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        types = [weight.dtype for weight in network.parameters() if weight.is_floating_point()]
        self.dtype = types[0] if types else torch.float32

    def forward(self, x: Tensor) -> Tensor:
        """Logits, in at least float32."""
        return logits_of(self.network, x.to(self.dtype))


@torch.no_grad()
def finite(network: nn.Module, batches: Iterable[Any], device: torch.device) -> bool:
    """Whether the logits of all samples are numbers; they are not where training has diverged."""
    return all(bool(network(x.to(device)).isfinite().all()) for x, *_ in batches)

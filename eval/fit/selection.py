"""The best epoch is the one with the highest ε50% on the validation split (paper 1, section A.1)."""

from functools import partial
from typing import cast

from pytorch_lightning import Callback, LightningModule, Trainer

from eval.robustness.radii import critical_radii
from training import Classifier, Strength, pgd
from training.attacks import Norm
from training.data import DataSet

MONITORED = "val_selection"
CHANCE = 0.1
"""How far above 1/C an accuracy must be for its epoch to be a candidate."""


class Epsilon50(Callback):
    """Logs ε50% under PGD on the validation split after every epoch, as `val_epsilon50`.

    What a checkpoint callback should monitor is `val_selection`: the same, but −1 before `first_epoch`, and where the
    accuracy is that of chance: half of two classes are withheld for ever by a classifier that always answers one of
    them, whose ε50% says nothing.

    Args:
        norm: of the ball.
        steps: gradient steps, κ.
        step_size: η; None for the default of `training.attacks.pgd`.
        resolution: relative width to which the median is closed.
        first_epoch: epoch from which on an epoch may be the best; the paper's 33 for CIFAR-10.
    """

    def __init__(
        self,
        norm: Norm = "Linf",
        steps: int = 40,
        step_size: Strength | None = None,
        resolution: float = 0.02,
        first_epoch: int = 0,
    ) -> None:
        self.norm, self.steps, self.step_size = norm, steps, step_size
        self.resolution, self.first_epoch = resolution, first_epoch
        self.last: float | None = None

    def state_dict(self) -> dict[str, float | None]:
        """Where the last search ended, so that a resumed run searches as an uninterrupted one."""
        return {"last": self.last}

    def load_state_dict(self, state: dict[str, float | None]) -> None:
        """Go on from there."""
        self.last = state["last"]

    def on_validation_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Search ε50% and log it."""
        if trainer.sanity_checking:
            return
        data = cast(DataSet, trainer.datamodule)  # type: ignore[attr-defined]
        step_size = None if self.step_size is None else float(self.step_size)
        radii = critical_radii(
            cast(Classifier, module).network,
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
        # The next search starts where this one ended; without an answer it starts with a pilot again.
        self.last = radii.epsilon50 if 0 < radii.epsilon50 < radii.epsilon_max else None
        above_chance = radii.accuracy_at(0.0) > 1 / data.num_classes + CHANCE
        allowed = trainer.current_epoch >= self.first_epoch and above_chance
        module.log("val_epsilon50", radii.epsilon50, prog_bar=True)
        module.log(MONITORED, radii.epsilon50 if allowed else -1.0)

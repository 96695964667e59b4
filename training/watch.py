"""What is watched while a classifier trains: that it still learns, and what an epoch costs."""

import math
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from training.data import DataSet

LARGEST: dict[str, Any] = {"sync_dist": True, "reduce_fx": "max"}
"""How a cost is logged of which each process has its own."""


class StopAtCollapse(Callback):
    """Stops a run whose loss is no longer a number, or whose accuracy has fallen to chance, and says so.

    A run that has not yet left chance goes on: strong adversarial training may need several epochs to begin.

    Args:
        margin: how far above 1/C an accuracy must be not to be chance.
    """

    def __init__(self, margin: float = 0.02) -> None:
        self.margin, self.best = margin, 0.0

    def state_dict(self) -> dict[str, float]:
        """The best accuracy so far."""
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on from there."""
        self.best = state["best"]

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Judge the epoch."""
        loss = float(trainer.callback_metrics.get("train_loss", torch.zeros(())))
        if not math.isfinite(loss):
            self._stop(trainer, f"its loss is {loss}")
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        if "val_accuracy" not in trainer.callback_metrics or not isinstance(data, DataSet):
            return
        accuracy = float(trainer.callback_metrics["val_accuracy"])
        chance = 1 / data.num_classes + self.margin
        if accuracy <= chance < self.best:
            self._stop(trainer, f"its accuracy on validation fell from {self.best:.1%} to chance, {accuracy:.1%}")
        self.best = max(self.best, accuracy)

    def _stop(self, trainer: Trainer, reason: str) -> None:
        trainer.should_stop = True
        warnings.warn(f"training collapsed in epoch {trainer.current_epoch} and was stopped: {reason}", stacklevel=2)


class EpochCost(Callback):
    """Logs what an epoch costs: its steps in `epoch_steps_…`, and with its validation in `epoch_…`.

    Each in seconds (`seconds`) and as the peak of memory in MB (`peak_mb`).

    Memory is the most that was allocated on a CUDA device since the epoch began; on a CPU the largest resident set of
    the process so far. Of several processes the largest number of any is logged. Of trainings side by side each has
    its share of the seconds, see `training.side_by_side.Member.clock`; the memory is that of all.
    """

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Start the clock."""
        if module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(module.device)
        self.started = _clock(module)()

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log the cost of the steps after the last one."""
        if trainer.is_last_batch:
            if module.device.type == "cuda":
                torch.cuda.synchronize(module.device)
            cost = {"epoch_steps_seconds": self.seconds(module), "epoch_steps_peak_mb": _peak_mb(module.device)}
            module.log_dict(cost, on_step=False, on_epoch=True, batch_size=1, **LARGEST)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Log the cost of the whole."""
        cost = {"epoch_seconds": self.seconds(module), "epoch_peak_mb": _peak_mb(module.device)}
        module.log_dict(cost, **LARGEST)

    def seconds(self, module: LightningModule) -> float:
        """Since the epoch began."""
        return _clock(module)() - self.started


def _peak_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return _largest_resident_mb()


def _largest_resident_mb() -> float:
    """NaN where the system does not count it."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return math.nan
    in_mb = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / in_mb


def _clock(module: LightningModule) -> Callable[[], float]:
    """Counts the seconds of a training, of which what runs its steps may know better than the clock on the wall."""
    return getattr(getattr(module, "runner", None), "clock", time.perf_counter)

"""What a training keeps: its best epoch, chosen among the candidates, and always its last one."""

import math
import os
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint
from torch import Tensor

from eval.fit.selection import MONITORED, Epsilon50

LAST = "last.ckpt"


class NoBestEpoch(ValueError):
    """A training ended, and none of its epochs was a candidate for the best one."""


class BestEpoch(ModelCheckpoint):
    """Keeps the best epoch of those that are candidates; there may be none.

    No candidate is an epoch before the first one that `Epsilon50` allows, or whose value says that it is none: NaN,
    the infinity that is worse than everything, a `val_selection` below 0. A run that is resumed knows its best epoch
    wherever its folder lies now, and whether it is named by a relative or an absolute path.
    """

    @property
    def state_key(self) -> str:
        """That of Lightning's own class, under which older checkpoints keep the state."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """Whether an epoch with this value is to be kept."""
        if current is None:
            return False
        candidate = self.is_candidate(float(current)) and trainer.current_epoch >= _first_epoch(trainer)
        # All processes must decide alike before they write together.
        return trainer.strategy.reduce_boolean_decision(candidate) and super().check_monitor_top_k(trainer, current)

    def is_candidate(self, value: float) -> bool:
        """Whether an epoch with this value of what is monitored can be the best."""
        worst = math.inf if self.mode == "min" else -math.inf
        return not math.isnan(value) and value != worst and not (self.monitor == MONITORED and value < 0)

    @property
    def found(self) -> bool:
        """Whether some epoch was a candidate and is kept."""
        score = self.best_model_score
        return bool(self.best_model_path) and (score is None or self.is_candidate(float(score)))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over which epochs were the best, as files of the folder where they lie now.

        Raises:
            ValueError: if the best one does not lie there.
        """
        super().load_state_dict(self._moved(state_dict))
        if self.best_model_path and not Path(self.best_model_path).is_file():
            raise ValueError(
                f"{self.best_model_path}: the best epoch so far should lie beside the checkpoint to go on from. "
                "Found no such file. Copy it there, too."
            )

    def _moved(self, state: dict[str, Any]) -> dict[str, Any]:
        def here(path: str) -> str:
            return os.path.join(str(self.dirpath), os.path.relpath(path, state["dirpath"])) if path else path

        names = ("best_model_path", "kth_best_model_path", "last_model_path")
        scores = {here(path): score for path, score in state["best_k_models"].items()}
        paths = {name: here(state[name]) for name in names}
        return state | paths | {"best_k_models": scores, "dirpath": self.dirpath}


class LastEpoch(Checkpoint):
    """Writes `last.ckpt` at the end of every epoch, whatever its value, into the folder of the best one.

    Args:
        best: called before it, so that the last epoch knows the best one.
    """

    def __init__(self, best: BestEpoch) -> None:
        self.best = best
        self.told: dict[str, float] = {}

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Write it; a file that is there stays whole until the new one is."""
        self.told = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.told |= {"epoch": trainer.current_epoch, "step": max(0, trainer.global_step - 1)}
        trainer.save_checkpoint(Path(str(self.best.dirpath)) / LAST, weights_only=False)

    def state_dict(self) -> dict[str, Any]:
        """What the epoch logs; Lightning writes that only after the checkpoint."""
        return {"told": self.told}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Remember what the epoch of a checkpoint logged."""
        self.told = state.get("told", {})

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Log it again where a training goes on, since a process that was killed in between has not."""
        if self.told:
            metrics = {name: value for name, value in self.told.items() if name != "step"}
            for logger in trainer.loggers:
                logger.log_metrics(metrics, step=int(self.told["step"]))
                logger.save()


def _first_epoch(trainer: Trainer) -> int:
    selections = [callback for callback in trainer.callbacks if isinstance(callback, Epsilon50)]  # type: ignore[attr-defined]
    return max((selection.first(trainer.lightning_module) for selection in selections), default=0)

"""A training that stops at a step as if it had been killed there, and what it has seen until then."""

import os
import signal
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer

from eval.fit import fit_from
from tests.eval.fit.runs import configuration

WHOLE: dict[str, Any] = {"trainer": {"max_epochs": 2}, "save": {"steps": 5}}


class Stopped(Exception):
    """Stands for a kill: Lightning writes nothing when it is raised."""


class Seen(Callback):
    """Counts steps, keeps each epoch's means and how often a generator saw a class, and ends training at a step.

    Args:
        stop_at: number of the batch, from 1.
        kill: whether to kill the process there, rather than raise `Stopped`.
    """

    def __init__(self, stop_at: int | None = None, *, kill: bool = False) -> None:
        self.steps, self.stop_at, self.kill = 0, stop_at, kill
        self.means: dict[int, dict[str, float]] = {}
        self.drawn = 0.0
        self.classes: list[int] = []

    def on_train_batch_end(self, trainer: Trainer, *rest: Any) -> None:
        self.steps += 1
        self.drawn = float(torch.rand(()))  # as dropout would
        if self.steps != self.stop_at:
            return
        if self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        raise Stopped

    def on_train_epoch_start(self, trainer: Trainer, module: Any) -> None:
        self._keep(trainer, trainer.current_epoch - 1)

    def on_train_end(self, trainer: Trainer, module: Any) -> None:
        self._keep(trainer, trainer.current_epoch - 1)
        self.classes = module.seen.tolist() if hasattr(module, "seen") else []

    def _keep(self, trainer: Trainer, epoch: int) -> None:
        """Means of an epoch; Lightning has them only when the next one begins."""
        found = {k: float(v) for k, v in trainer.callback_metrics.items() if not k.startswith("epoch_")}
        if found and epoch >= 0:
            self.means[epoch] = found


def whole(folder: Path, *changes: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a classifier, or of a generator where a change names its class."""
    made = configuration(folder, WHOLE, *changes)
    model = made["model"]
    if "class_path" not in model:
        return made
    del made["selection"]  # which chooses the best epoch of a classifier
    return made | {"model": {name: model[name] for name in ("class_path", "init_args")}}


def trained(folder: Path, *changes: dict[str, Any], stop_at: int | None = None, kill: bool = False) -> Seen:
    """Train digits for two epochs, with a checkpoint every five steps.

    Raises:
        Stopped: at that batch.
    """
    cli, seen = fit_from(whole(folder, *changes)), Seen(stop_at, kill=kill)
    cli.trainer.callbacks.insert(0, seen)  # type: ignore[attr-defined]
    cli.fit()
    return seen

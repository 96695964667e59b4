"""Checkpoints in the middle of an epoch, from which a training ends where an uninterrupted one does."""

import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor

from eval.fit.checkpoints import LAST, BestEpoch
from eval.fit.epoch_so_far import check_goes_on_within, epoch_so_far, go_on_in_epoch
from generators.global_batch import averaged
from training.watch import EpochCost

WITHIN_KEY = "alphadx_within_epoch"
"""Where a checkpoint made in the middle of an epoch keeps what Lightning's own state leaves out."""


class SaveWithinEpoch(Checkpoint):
    """Writes `last.ckpt` in the middle of an epoch, too; the end of every epoch writes it in any case.

    It is written only where the optimiser has just made a step, so that no gradient is half accumulated. Beside
    Lightning's state it holds the global random numbers, the means that the epoch has logged so far, and what the
    module keeps of it.

    Args:
        minutes: between two checkpoints, above 0; None for none by time.
        steps: of the optimiser between two checkpoints, at least 1; None for none by steps. With a generator those of
            both optimisers count.

    Raises:
        ValueError: if minutes or steps are out of range.
    """

    def __init__(self, minutes: float | None = None, steps: int | None = None) -> None:
        if minutes is not None and not 0 < minutes < float("inf"):
            raise ValueError(f"`save.minutes` should be above 0 and finite. Found {minutes}.")
        if steps is not None and steps < 1:
            raise ValueError(f"`save.steps` should be at least 1. Found {steps}.")
        self.minutes, self.steps = minutes, steps
        self.pending: dict[str, Any] = {}
        self.random: dict[str, Any] | None = None
        self.so_far: dict[str, Any] = {}
        self.seconds = 0.0
        self.writing = False

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        """Refuse what cannot go on where it stood.

        Raises:
            ValueError: if checkpoints within an epoch are asked for, and the data or the combiner cannot.
        """
        if stage == "fit" and (self.minutes or self.steps):
            check_goes_on_within(module, trainer.datamodule)  # type: ignore[attr-defined]

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Begin to count; Lightning does not begin an epoch again in whose middle it goes on."""
        self._begin(trainer)
        if self.random is not None:
            for one in trainer.callbacks:  # type: ignore[attr-defined]
                one.on_train_epoch_start(trainer, module)
            module.on_train_epoch_start()
            for cost in _costs(trainer):
                cost.started -= self.seconds

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, index: int) -> None:
        """Put the random numbers and the module where they stood when the checkpoint was written."""
        if self.random is not None:
            go_on_in_epoch(module, self.so_far)
            set_random_state(self.random)
            self.random = None

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Add what was logged before to the epoch's means, and write a checkpoint where one is due."""
        self._add_means(trainer)
        if not self._due(trainer):
            return
        self.writing = True
        try:
            trainer.save_checkpoint(_folder(trainer) / LAST, weights_only=False)
        finally:
            self.writing = False
        self._begin(trainer)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Begin to count again, where `last.ckpt` is written in any case."""
        self._begin(trainer)

    def on_save_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep what Lightning does not."""
        if self.writing:
            checkpoint[WITHIN_KEY] = {
                "random": random_state(),
                "means": _means(trainer),
                "so_far": epoch_so_far(module),
                "seconds": sum(cost.seconds(module) for cost in _costs(trainer)),
            }

    def on_load_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Have it ready for the first batch."""
        if (found := checkpoint.get(WITHIN_KEY)) is not None:
            self.random, self.pending, self.seconds = found["random"], dict(found["means"]), found["seconds"]
            self.so_far = found.get("so_far", {})

    def _begin(self, trainer: Trainer) -> None:
        self.moment, self.step = time.monotonic(), trainer.global_step

    def _due(self, trainer: Trainer) -> bool:
        if self.minutes is None and self.steps is None:
            return False
        by_time = self.minutes is not None and time.monotonic() - self.moment >= 60 * self.minutes
        by_steps = self.steps is not None and trainer.global_step - self.step >= self.steps
        due = (by_time or by_steps) and not trainer.is_last_batch and not trainer.fit_loop._should_accumulate()
        # All processes must decide alike before they write together.
        return trainer.strategy.reduce_boolean_decision(due, all=False)

    def _add_means(self, trainer: Trainer) -> None:
        """Add each mean to the one that has begun afresh; the sum is the same, bit by bit."""
        for key, metric in trainer.fit_loop.epoch_loop._results.items():
            for name, value in self.pending.pop(key, {}).items():
                setattr(metric, name, getattr(metric, name) + value.to(getattr(metric, name).device))


def _folder(trainer: Trainer) -> Path:
    return next(Path(str(one.dirpath)) for one in trainer.checkpoint_callbacks if isinstance(one, BestEpoch))


def _costs(trainer: Trainer) -> list[EpochCost]:
    return [one for one in trainer.callbacks if isinstance(one, EpochCost)]  # type: ignore[attr-defined]


def _means(trainer: Trainer) -> dict[str, dict[str, Tensor]]:
    """Sums and counts of what the epoch has logged so far; of several processes their means, with which all go on."""
    kept = {}
    for key, metric in trainer.fit_loop.epoch_loop._results.items():
        if metric.is_tensor and metric.meta.is_mean_reduction and metric.meta.on_epoch:
            sums = [metric.value, metric.cumulated_batch_size]
            if trainer.world_size > 1:
                sums = averaged([part.to(metric.value) for part in sums], trainer)
            kept[key] = dict(zip(("value", "cumulated_batch_size"), [part.cpu() for part in sums], strict=True))
    return kept


def random_state() -> dict[str, Any]:
    """The state of the global generators of random numbers, as plain values and tensors."""
    _, keys, *rest = np.random.get_state()  # noqa: NPY002 (whoever uses the global generator has this one)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
        "numpy": [np.asarray(keys).tolist(), *rest],
        "python": random.getstate(),
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Put the global generators where they stood."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    keys, *rest = state["numpy"]
    np.random.set_state(("MT19937", np.array(keys, dtype=np.uint32), *rest))  # noqa: NPY002
    random.setstate(state["python"])

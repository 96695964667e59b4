"""What a training tells on its way: epochs and steps for whoever looks, and a line on what an epoch has come to."""

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from eval.progress import Display
from generators.progress import Stage
from training.processes import said_to_differ

SHOWN = {
    "train_loss": "loss", "train_alignment": "alignment loss", "val_accuracy": "accuracy", "val_epsilon50": "ε50%",
}  # fmt: skip
"""What is said of an epoch of a classifier, in this order; of a generator, what its own bar would show."""
LOGGERS = ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric")
NEEDLESS = (
    "The number of training batches .* is smaller than the logging interval",  # epochs are logged whole
    "The '.*_dataloader' does not have many workers",  # data that lies in memory needs none
)


@contextmanager
def without_advertisements() -> Iterator[None]:
    """Leave out what Lightning tells of itself, and keep all its warnings of what may be wrong.

    Who has set another level for its loggers has that one.
    """
    loggers = [logging.getLogger(name) for name in LOGGERS]
    changed = [(logger, logger.level) for logger in loggers if logger.level in (logging.NOTSET, logging.INFO)]
    for logger, _ in changed:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in NEEDLESS:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        for logger, level in changed:
            logger.setLevel(level)


class Telling(Callback):
    """Counts epochs and steps in a stage, and writes a line when an epoch has ended and one is due.

    Args:
        stage: of the training; its part is the epoch under way.
        display: that lines are written to; None to write none.
    """

    def __init__(self, stage: Stage, display: Display | None = None) -> None:
        self.stage, self.display = stage, display

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Say what is trained on what, and from where on."""
        self.stage.total, self.stage.done = max(trainer.max_epochs or 0, 0), trainer.current_epoch
        if self.display is not None and trainer.is_global_zero:
            self.display.restart()
            self.display.write(_beginning(trainer, module))
            if differs := said_to_differ(module, trainer.world_size):
                self.display.write(differs)

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Begin to count its steps."""
        batches = trainer.num_training_batches
        self.stage.part = Stage(total=int(batches) if math.isfinite(batches) else 0, unit="step")

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a step."""
        if self.stage.part is not None:
            self.stage.part.done = batch_idx + 1

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Say that the steps are done."""
        if not trainer.sanity_checking and self.stage.part is not None:
            self.stage.part.title = "validation"

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Say what the epoch has come to, if a line is due or it is the last one."""
        self.stage.done, self.stage.part = trainer.current_epoch + 1, None
        if self.display is not None and trainer.is_global_zero:
            last = self.stage.done == self.stage.total or trainer.should_stop
            self.display.tell(f"epoch {self.stage.done}{_of(self.stage.total)}, {_found(trainer)}", at_once=last)


def _of(total: int) -> str:
    return f" of {total}" if total else ""


def _beginning(trainer: Trainer, module: LightningModule) -> str:
    """Such as "training Classifier with 22,410 parameters on cpu, epochs 1 to 30 of 34 steps"."""
    weights = sum(weight.numel() for weight in module.parameters())
    epochs = f"epochs {trainer.current_epoch + 1} to {trainer.max_epochs}" if trainer.max_epochs != -1 else "epochs"
    steps = f" of {trainer.num_training_batches:,} steps" if trainer.num_training_batches else ""
    return f"training {type(module).__name__} with {weights:,} parameters on {module.device}, {epochs}{steps}"


def _found(trainer: Trainer) -> str:
    """The numbers of an epoch."""
    metrics = trainer.callback_metrics
    chosen: dict[str, Any] = {SHOWN[name]: metrics[name] for name in SHOWN if name in metrics}
    if len(chosen) <= ("loss" in chosen):
        chosen |= {
            name: torch.as_tensor(value) for name, value in trainer.progress_bar_metrics.items() if name != "v_num"
        }
    told = [f"{name} {_number(name, float(value))}" for name, value in chosen.items()]
    return ", ".join([f"step {trainer.global_step:,}", *told])


def _number(name: str, value: float) -> str:
    return f"{100 * value:.1f} %" if name == "accuracy" else f"{value:.4g}"

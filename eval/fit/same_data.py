"""A training goes on with the data that it began with."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from training.data import DataSet
from training.data.content import VALUES, content_of

DATA_KEY = "alphadx_data"
"""Where a checkpoint says what its data held."""


class SaysData(Callback):
    """Says in every checkpoint what the data held that it was trained on."""

    def __init__(self) -> None:
        self.content: dict[str, Any] | None = None

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Look at the data once."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        self.content = content_of(data) if isinstance(data, DataSet) else None

    def on_save_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Say it."""
        if self.content is not None:
            checkpoint[DATA_KEY] = self.content


def check_same_data(path: Path, checkpoint: Mapping[str, Any], data: DataSet) -> None:
    """Refuse to go on with other samples, labels or classes; warn where only values differ, as decoders make them.

    Args:
        path: of the checkpoint.
        checkpoint: one that an older version wrote does not say what its data held, and is not refused.
        data: to go on with.

    Raises:
        ValueError: if it is other data.
    """
    if (found := checkpoint.get(DATA_KEY)) is None:
        return
    given = content_of(data)
    differing = [key for key in found if key in given and found[key] != given[key]]
    told = ", ".join(_told(key, found[key], given[key]) for key in differing)
    message = f"`data` should hold what {path} was trained on. Found other {told}."
    if any(not key.endswith(VALUES) for key in differing):
        raise ValueError(f"{message} Bring the data back, or leave out --resume to begin a new run.")
    if differing:
        warnings.warn(f"{message} What is trained from here on is another model than without a stop.", stacklevel=2)


def _told(key: str, found: object, given: object) -> str:
    """What differs; digests mean nothing to a reader."""
    return key if isinstance(found, str) else f"{key} ({given} where it was {found})"

"""What a data set holds, in a few numbers by which another one is told from it."""

from hashlib import sha256
from typing import Any

import torch
from torch import Tensor

from training.data.dataset import DataSet
from training.data.foreign.steadiness import randomness_kept
from training.data.split import Split

LOOKED_AT = 8
"""Samples of a split, from the first to the last, whose values are looked at."""
VALUES = "values of samples"
"""How the keys end that differ, too, where another version of a library decodes an image a little differently."""


def content_of(data: DataSet) -> dict[str, Any]:
    """Counts, and digests of names, labels and of a few samples, by what they are of.

    Args:
        data: whose training and validation samples are looked at; labels of all where they lie in memory.
    """
    found: dict[str, Any] = {
        "classes": data.num_classes,
        "names of classes": _digest(repr([*map(str, data.classes)]).encode()),
        "shape": [*data.shape],
    }
    with randomness_kept():
        found |= _of_split("training", data.split("train"))
        if getattr(data, "validation_share", None) != 0:
            found |= _of_split("validation", data.split("validation"))
    return found


def _of_split(name: str, split: Split) -> dict[str, Any]:
    found: dict[str, Any] = {f"{name} samples": len(split)}
    if (labels := vars(split).get("labels")) is not None:
        found[f"{name} labels"] = _of_values(labels)
    if len(split):
        looked_at = split.__getitems__(torch.linspace(0, len(split) - 1, LOOKED_AT).long().unique().tolist())
        found[f"{name} labels of some"] = _of_values(looked_at.y)
        found[f"{name} {VALUES}"] = _of_values(looked_at.x)
    return found


def _of_values(values: Tensor) -> str:
    return _digest(values.cpu().contiguous().numpy().tobytes())


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()[:16]

"""What the transforms of a data set do that a measurement must know: normalise, and augment at random."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

INSIDE = ("transform", "transforms", "dataset", "datasets", "batch_transform", "tf")
"""Attributes in which data sets and transforms keep transforms, or other data sets."""
RANDOM = ("Random", "AutoAugment", "TrivialAugment", "AugMix", "ColorJitter", "RandAugment")
"""How transforms that draw at random are called by torchvision and others."""


def transforms_in(data: Any) -> Iterator[Any]:
    """Every transform of a data set, of those it is made of, and inside of composed ones."""
    waiting, seen = [data], set()
    while waiting:
        found = waiting.pop(0)
        if id(found) in seen or found is None or isinstance(found, str | bytes | int | float | Tensor | np.ndarray):
            continue
        seen.add(id(found))
        yield found
        waiting += _inside(found)


def _inside(found: Any) -> list[Any]:
    """What lies directly in a data set, a transform or a list of them."""
    if isinstance(found, list | tuple | nn.ModuleList | nn.Sequential):
        return [*found]
    if isinstance(found, Mapping):
        return [*found.values()]
    return [getattr(found, name) for name in INSIDE if _plain_attribute(found, name)]


def _plain_attribute(found: Any, name: str) -> bool:
    """Whether it can be asked for without anything being computed."""
    return name in getattr(found, "__dict__", {}) or name in getattr(found, "_modules", {})


def normalizing(data: Any) -> tuple[list[float], list[float]] | None:
    """Mean and standard deviation of the Normalize among the transforms of a data set, if there is one."""
    for transform in transforms_in(data):
        mean, std = getattr(transform, "mean", None), getattr(transform, "std", None)
        named = type(transform).__name__
        normalizes = "normaliz" in named.lower() or named == "ImageClassification"
        if normalizes and mean is not None and std is not None:
            return _numbers(mean), _numbers(std)
    return None


def _numbers(given: Any) -> list[float]:
    """Numbers of a tensor, an array, a list or a single number."""
    plain = np.asarray(given.detach().cpu() if isinstance(given, Tensor) else given, dtype=float)
    return plain.reshape(-1).tolist()


def random_transforms(data: Any) -> list[str]:
    """Names of the transforms of a data set that draw at random."""
    names: Iterable[str] = (type(transform).__name__ for transform in transforms_in(data))
    return [name for name in names if name.startswith(RANDOM)]

"""A residual estimator from the file that holds it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from generators.checkpoints import GENERATOR_KEY, load_generator
from generators.direct import DirectResidual
from generators.projection import LatentProjection
from generators.residuals import ResidualEstimator
from generators.store import StoredResidual

KINDS = {"direct": DirectResidual, "conditional": LatentProjection}


def load_estimator(
    path: str | Path, *, data: str, shape: Sequence[int], num_classes: int, **options: Any
) -> ResidualEstimator:
    """The estimator that a checkpoint of a generator (.ckpt) or a store of residuals (.h5) holds.

    Args:
        path: of the file.
        data: name of the data set it should belong to.
        shape: of one image.
        num_classes: C.
        options: what `DirectResidual` or `LatentProjection` take besides the generator.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is of another kind, or was made for another data set, image size or number of classes.
    """
    if Path(path).suffix == ".h5":
        return StoredResidual(path, {"data": data}, **options)
    generator, found = load_generator(path)
    expected = {"data": data, "shape": list(shape), "num_classes": num_classes}
    if differing := [
        f"{key} {found[key]!r} where {value!r} is needed" for key, value in expected.items() if found[key] != value
    ]:
        raise ValueError(f"{path} was made for something else: {', '.join(differing)}.")
    return KINDS[found["kind"]](generator, **options)


def holds_estimator(path: str | Path) -> bool:
    """Whether a file is a store of residuals or the checkpoint of a generator."""
    if Path(path).suffix == ".h5":
        return True
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # whatever it is, it is no generator of ours
        return False
    return isinstance(content, dict) and GENERATOR_KEY in content

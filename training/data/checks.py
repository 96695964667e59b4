"""Samples that cannot be right are refused, and samples are kept for validation by a fixed shuffle."""

import math
from pathlib import Path

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from training.data.split import Bounds
from training.seeds import derived_seed


def check_samples(
    images: Shaped[Tensor, "N ..."],
    labels: Shaped[Tensor, " N2"],
    classes: int,
    bounds: Bounds,
    source: str | Path,
) -> None:
    """Refuse samples that cannot be right, naming the file and the remedy.

    Raises:
        ValueError: if images and labels differ in number, labels lie outside [0, classes), or floating-point
            images hold NaN or leave the bounds.
    """
    if len(images) != len(labels):
        raise ValueError(
            f"{source}: there should be one label per image. Found {len(images)} images and {len(labels)} labels."
        )
    if len(labels) and not (int(labels.min()) >= 0 and int(labels.max()) < classes):
        raise ValueError(
            f"{source}: labels should lie in [0, {classes}). Found values from {int(labels.min())} to "
            f"{int(labels.max())}. Number the classes from 0, or name all of them in `classes`."
        )
    if not images.dtype.is_floating_point:
        if not all(map(math.isfinite, bounds)):
            raise ValueError(f"{source}: images in bytes need finite `bounds` to be mapped to. Found {bounds}.")
        return
    for kind, bad in (("NaN", images.isnan()), ("infinite values", images.isinf())):
        if bad.any():
            raise ValueError(
                f"{source}: images should not hold {kind}. Found {int(bad.sum())}. Remove or impute them."
            )
    if images.numel() and (images.min() < bounds[0] or images.max() > bounds[1]):
        raise ValueError(
            f"{source}: images should lie within {bounds}. Found values from {float(images.min()):.6g} to "
            f"{float(images.max()):.6g}. Rescale them, or state their `bounds`."
        )


def shuffled(count: int, *parts: int | str) -> Int[Tensor, " N"]:
    """A fixed shuffle of [0, count)."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(derived_seed(*parts)))


def validation_divided(count: int, share: float, name: str) -> tuple[Int[Tensor, " N"], Int[Tensor, " M"]]:
    """Samples that stay for training and samples kept for validation, by a fixed shuffle.

    Args:
        count: number of samples.
        share: to keep for validation, at least one sample.
        name: of the data set, on which the shuffle depends.

    Raises:
        ValueError: if the share does not lie in (0, 1).
    """
    if not 0 < share < 1:
        raise ValueError(f"`validation_share` should lie in (0, 1). Found {share}.")
    order = shuffled(count, "validation", name)
    kept = max(1, int(count * share))
    return order[kept:], order[:kept]

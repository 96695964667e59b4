"""Samples that cannot be right are refused, and samples are kept for validation by a fixed shuffle."""

import math
from pathlib import Path

import torch
from jaxtyping import Float, Int, Shaped
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
    check_labels(len(images), labels, classes, source)
    if images.dtype.is_floating_point:
        check_values(images, bounds, source)
    else:
        check_bounds(bounds, whole_numbers=str(source))


def check_labels(count: int, labels: Shaped[Tensor, " N"], classes: int, source: str | Path) -> None:
    """Refuse labels that are not one for each image, or none of the classes.

    Args:
        count: number of images.
        labels: numbers from 0.
        classes: how many there are.
        source: the file, for the message.

    Raises:
        ValueError: naming what was found.
    """
    if count != len(labels):
        raise ValueError(
            f"{source}: there should be one label per image. Found {count} images and {len(labels)} labels."
        )
    if len(labels) and not (int(labels.min()) >= 0 and int(labels.max()) < classes):
        raise ValueError(
            f"{source}: labels should lie in [0, {classes}). Found values from {int(labels.min())} to "
            f"{int(labels.max())}. Number the classes from 0, or name all of them in `classes`."
        )


def check_bounds(bounds: Bounds, whole_numbers: str = "") -> None:
    """Refuse bounds that are none.

    Args:
        bounds: lowest and highest legal value of an input; infinite where there is none.
        whole_numbers: the file whose whole numbers are to be mapped to them, if any are.

    Raises:
        ValueError: if the highest is not above the lowest, or either is infinite where whole numbers are mapped.
    """
    if not bounds[0] < bounds[1]:
        raise ValueError(f"`bounds` should be a lowest value and a higher one. Found {tuple(bounds)}.")
    if whole_numbers and not all(map(math.isfinite, bounds)):
        raise ValueError(
            f"{whole_numbers}: images in bytes need finite `bounds` to be mapped to. Found {tuple(bounds)}."
        )


def check_values(images: Float[Tensor, "N *shape"], bounds: Bounds, source: str | Path) -> None:
    """Refuse floating-point images that hold NaN or leave the bounds.

    Raises:
        ValueError: naming the file, what was found and the remedy.
    """
    if not images.numel():
        return
    low, high = map(float, images.aminmax())  # both are NaN where any value is
    if math.isfinite(low) and math.isfinite(high):
        lowest, highest = torch.tensor(bounds, dtype=images.dtype).tolist()  # as the images were rounded
        if low < lowest or high > highest:
            raise ValueError(
                f"{source}: images should lie within {tuple(bounds)}. Found values from {low:.6g} to {high:.6g}. "
                "Rescale them, or state their `bounds`."
            )
        return
    kind, bad = ("NaN", images.isnan()) if math.isnan(low) else ("infinite values", images.isinf())
    raise ValueError(f"{source}: images should not hold {kind}. Found {int(bad.sum())}. Remove or impute them.")


def shuffled(count: int, *parts: int | str) -> Int[Tensor, " N"]:
    """A fixed shuffle of [0, count)."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(derived_seed(*parts)))


def validation_divided(
    count: int, share: float, name: str, *, none: bool = False
) -> tuple[Int[Tensor, " N"], Int[Tensor, " M"]]:
    """Samples that stay for training and samples kept for validation, by a fixed shuffle.

    Args:
        count: number of samples.
        share: to keep for validation, at least one sample.
        name: of the data set, on which the shuffle depends.
        none: whether a share of 0 is allowed, with which all samples stay for training, in their order.

    Raises:
        ValueError: if the share does not lie in (0, 1).
    """
    if none and share == 0:
        return torch.arange(count), torch.arange(0)
    if not 0 < share < 1:
        raise ValueError(f"`validation_share` should lie in {'[' if none else '('}0, 1). Found {share}.")
    order = shuffled(count, "validation", name)
    kept = max(1, int(count * share))
    return order[kept:], order[:kept]

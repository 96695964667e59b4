"""A few samples of each class with their residuals to every other class, in numbers and pictures."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment import cosine_similarity
from alignment.contracts import check_finite
from eval.records.estimators import described_estimator
from eval.records.intervals import UNSURE
from eval.records.outcome import Outcome
from eval.records.quantity import Quantity
from generators import ResidualEstimator
from generators.store import for_samples
from training.data import Batch, DataSet

RESIDUAL_GRID = "residual_grid"
MOST = 10
"""Classes that are shown, where there are more."""


def grid_quantity(estimator: ResidualEstimator, data: DataSet, per_class: int | None = None) -> Quantity:
    """Residuals of an estimator from a few samples of each class.

    Args:
        estimator: what is shown.
        data: the data set.
        per_class: samples of each class; None for the papers' five of two classes, and two of more.

    Raises:
        ValueError: if `per_class` is below 1.
    """
    count = (5 if data.num_classes == 2 else 2) if per_class is None else per_class
    if count < 1:
        raise ValueError(f"`per_class` should be at least 1. Found {per_class}.")
    return Quantity(RESIDUAL_GRID, settings={"estimator": described_estimator(estimator), "per_class": count})


def residual_grid(estimator: ResidualEstimator, data: DataSet, whole: Batch, per_class: int) -> Outcome:
    """Residuals from the first samples of each class to every other class that is shown.

    Args:
        estimator: what is shown.
        data: the data set.
        whole: samples to choose from, where the estimator is to work.
        per_class: samples of each class.

    Returns:
        The median ‖Δ̂x‖₂; a row per sample and class with ‖x‖₂, ‖Δ̂x‖₂ and ‖x̂'‖₂, and, where Δx is known, ‖x'‖₂ and
        sim(Δx, Δ̂x) as in Table 1 of paper 1, which is NaN where a vector has no direction; and as arrays the images
        `x` with `y`, and for each row the number of its image, `sample`, its `target` and `residual`, and `exact` if
        it is known.

    Raises:
        ValueError: if the estimator returns NaN, or does not fit the data.
    """
    shown = _shown(data.num_classes)
    chosen = _firsts(whole.y.cpu(), shown, per_class)
    sample, target = _pairs(whole.y.cpu()[chosen], _reached(estimator, shown))
    x, y, indices = (part[chosen.to(part.device)][sample.to(part.device)] for part in whole)
    residual = for_samples(estimator, indices)(x, y, target.to(x.device)).cpu()
    check_finite(residual, "residual")
    x, y = x.cpu(), y.cpu()
    columns = {"index": indices.cpu(), "label": y, "target": target} | _sizes(x, residual)
    arrays = {"x": whole.x[chosen.to(whole.x.device)].cpu(), "y": whole.y.cpu()[chosen]}
    arrays |= {"sample": sample, "target": target, "residual": residual}
    if data.exact_residual is not None:
        exact = data.exact_residual(x, y, target)
        arrays["exact"] = exact
        columns |= _beside(x, residual, exact)
    return Outcome(
        float(columns["norm_residual"].median()),
        pd.DataFrame({name: column.numpy() for name, column in columns.items()}),
        UNSURE,
        arrays={name: array.numpy() for name, array in arrays.items()}
        | {"bounds": np.array(data.bounds), "classes": np.array(data.classes)},
        samples=len(chosen),
    )


def _shown(classes: int) -> list[int]:
    """All classes, or some from all over them."""
    return sorted({*torch.linspace(0, classes - 1, min(classes, MOST)).long().tolist()})


def _reached(estimator: ResidualEstimator, shown: Sequence[int]) -> list[int]:
    """Classes to which the estimator points: a store may hold some alone."""
    return [c for c in shown if c in getattr(estimator, "classes", shown)]


def _firsts(y: Int[Tensor, " N"], shown: Sequence[int], per_class: int) -> Int[Tensor, " K"]:
    """Numbers of the first samples of each class, class by class."""
    return torch.cat([(y == c).nonzero().flatten()[:per_class] for c in shown])


def _pairs(y: Int[Tensor, " K"], targets: Sequence[int]) -> tuple[Int[Tensor, " P"], Int[Tensor, " P"]]:
    """Every sample with every class but its own."""
    sample = torch.arange(len(y)).repeat_interleave(len(targets))
    target = torch.tensor(targets, dtype=torch.int64).repeat(len(y))
    other = target != y[sample]
    return sample[other], target[other]


def _sizes(x: Float[Tensor, "P *shape"], residual: Float[Tensor, "P *shape"]) -> dict[str, Tensor]:
    shown = {"norm_x": x, "norm_residual": residual, "norm_moved": x + residual}
    return {name: vectors.flatten(1).norm(dim=1) for name, vectors in shown.items()}


def _beside(
    x: Float[Tensor, "P *shape"], residual: Float[Tensor, "P *shape"], exact: Float[Tensor, "P *shape"]
) -> dict[str, Tensor]:
    cosine, valid = cosine_similarity(residual, exact)
    return {"norm_exact": (x + exact).flatten(1).norm(dim=1), "cosine": cosine.masked_fill(~valid, torch.nan)}

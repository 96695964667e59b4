"""A consensus of residual estimators, weighted by how a judge rates each on held-out samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_counts
from alignment.gradients import evaluating, logits_of
from alignment.residuals import residuals_of
from generators import Consensus, ResidualEstimator, for_samples, rated_weights
from generators.store import is_by_sample
from training.checkpoints import load_classifier
from training.data import DataSet

HELD_OUT = 256
"""Samples of the validation split on which estimators are rated, the first ones."""
BLOCK = 64


def consensus_of(
    data: DataSet, members: Sequence[str | Mapping[str, Any]], judge: str | None = None, limit: int = HELD_OUT
) -> Consensus:
    """The consensus of estimators that `DataSet.residual` knows.

    Args:
        data: the data set.
        members: names, paths, or either with options, at least two.
        judge: checkpoint of a classifier that had no part in their training, by which they are weighted, see
            `rated`; None for equal weights.
        limit: so many samples of the validation split at most.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if there are fewer than two, one is unknown, `limit` is below 1, or, with a judge, an estimator
            knows residuals of stored samples alone, or none leads a sample to the class that it should be of.
    """
    estimators = [data.residual(member) for member in members]
    if judge is None:
        return Consensus(estimators)
    check_counts(1, limit=limit)
    if stored := [e.name for e in estimators if is_by_sample(e)]:
        raise ValueError(
            f"`judge` should be left out of a consensus with a store, which holds no held-out samples: {stored[0]}. "
            "Without a judge all estimators weigh the same."
        )
    fits: dict[str, Any] = {"num_classes": data.num_classes, "shape": data.shape, "bounds": data.bounds}
    ratings = rated(estimators, data, load_classifier(checkpoint=judge, **fits), limit)
    return Consensus(estimators, rated_weights(*zip(*ratings, strict=True)))


def rated(
    estimators: Sequence[ResidualEstimator], data: DataSet, judge: nn.Module, limit: int = HELD_OUT
) -> list[tuple[float, float]]:
    """Of each estimator the share of x̂' of the target class before a judge, and median ‖Δ̂x‖₂.

    On the first samples of the validation split, whose targets go through the other classes in turn.

    Args:
        estimators: any that can be asked of any sample.
        data: the data set.
        judge: from `(B, *shape)` to logits `(B, C)`, on the CPU.
        limit: so many samples at most.
    """
    split = data.split("validation")
    x, y, indices = split.__getitems__(range(len(split))[:limit])
    target = (y + 1 + indices % (data.num_classes - 1)) % data.num_classes
    return [_rating(estimator, judge, x, y, target, indices) for estimator in estimators]


def _rating(
    estimator: ResidualEstimator,
    judge: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    target: Int[Tensor, " B"],
    indices: Int[Tensor, " B"],
) -> tuple[float, float]:
    reached, lengths = [], []
    for part in torch.arange(len(y)).split(BLOCK):
        asked = for_samples(estimator, indices[part])
        residual = residuals_of(asked, x[part], y[part], target[part])
        with evaluating(judge), torch.no_grad():
            judged = logits_of(judge, x[part] + residual).argmax(dim=1)
        reached.append(judged == target[part])
        lengths.append(residual.flatten(1).norm(dim=1))
    return float(torch.cat(reached).double().mean()), float(torch.cat(lengths).median())

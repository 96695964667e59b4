"""How far moved samples are from real ones of the class that they should be of, as distributions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from alignment.contracts import check_floating
from eval.records.intervals import LEVEL, UNSURE, Interval

LEAST = 10
"""Moved and real samples of a class, each, below which nothing is said of that class."""
MOST = 2000
"""Samples that are compared, the first ones: as many squared distances are held in memory."""
RESAMPLES = 1000


class Energy(NamedTuple):
    """A distance between distributions.

    Attributes:
        value: the mean over classes, by their moved samples; NaN where no class has enough samples.
        interval: 95 % percentile bootstrap over samples; NaN where there is none.
        used: moved samples that were compared.
    """

    value: float
    interval: Interval
    used: int


class Distances(NamedTuple):
    """Of one class: distances over √n, and the numbers of the samples that they are of."""

    between: Float64[Tensor, "M R"]
    among_moved: Float64[Tensor, "M M"]
    among_real: Float64[Tensor, "R R"]
    moved: Int[Tensor, " M"]
    real: Int[Tensor, " R"]


def energy_distance(a: Float[Tensor, "M *shape"], b: Float[Tensor, "N *shape"]) -> float:
    """`(2 E‖A − B‖ − E‖A − A'‖ − E‖B − B'‖) / √n`, without bias: pairs of a sample with itself do not count.

    The U-statistic of Székely and Rizzo 2013, https://doi.org/10.1016/j.jspi.2013.03.018. Of equal distributions its
    mean is 0, whatever the number of samples, so that it may be negative; the V-statistic of
    `generators.gan.energy_distance` is larger by what a sample's distance 0 to itself takes from the means.

    Args:
        a: samples of one distribution, at least two.
        b: samples of the other, of the same shape, at least two.

    Raises:
        ValueError: if there are fewer, they are no floating-point tensors, or shapes differ.

    Example:
        >>> energy_distance(torch.zeros(2, 4), torch.ones(3, 4))
        2.0
    """
    for samples, name in ((a, "a"), (b, "b")):
        check_floating(samples, name)
        if len(samples) < 2:
            raise ValueError(f"`{name}` should hold at least two samples. Found {len(samples)}.")
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(f"`b` should hold samples of shape {tuple(a.shape[1:])}. Found {tuple(b.shape[1:])}.")
    both = torch.arange(len(a)), torch.arange(len(b)) + len(a)
    ones = torch.ones(1, len(a) + len(b), dtype=torch.float64)
    return float(_weighted(Distances(*_distances(a, b), *both), ones))


def energy_to_classes(
    moved: Float[Tensor, "N *shape"],
    target: Int[Tensor, " N"],
    real: Float[Tensor, "N *shape"],
    y: Int[Tensor, " N"],
    seed: int = 0,
) -> Energy:
    """Energy distance between moved samples and the real ones of the class that they should be of; mean over classes.

    The bootstrap draws samples once for both roles, since a sample stands among the moved ones of one class and the
    real ones of another. Where the distributions are equal the statistic is degenerate and the interval only rough.

    Args:
        moved: x̂' of each sample.
        target: the class that it should be of.
        real: the samples.
        y: their classes.
        seed: of the bootstrap.
    """
    moved, target, real, y = (part[:MOST].cpu() for part in (moved, target, real, y))
    classes = [_of_class(moved, target, real, y, int(c)) for c in target.unique()]
    known = [found for found in classes if min(len(found.moved), len(found.real)) >= LEAST]
    used = sum(len(found.moved) for found in known)
    if not known:
        return Energy(float("nan"), UNSURE, 0)
    count = len(y)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    # The first row is the samples themselves.
    weights = torch.cat([torch.ones(1, count, dtype=torch.float64), torch.from_numpy(drawn).double()])
    value, *resampled = (_mean_over_classes(known, weights) / used).tolist()
    low, high = np.nanquantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Energy(value, (float(low), float(high)), used)


def _mean_over_classes(classes: Sequence[Distances], weights: Tensor) -> Float64[Tensor, " K"]:
    return torch.stack([len(found.moved) * _weighted(found, weights) for found in classes]).sum(dim=0)


def _of_class(moved: Tensor, target: Tensor, real: Tensor, y: Tensor, c: int) -> Distances:
    ours, theirs = ((part == c).nonzero().flatten() for part in (target, y))
    return Distances(*_distances(moved[ours], real[theirs]), ours, theirs)


def _distances(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    a, b = a.flatten(1).double(), b.flatten(1).double()
    scale = max(1, a.shape[1]) ** 0.5
    return torch.cdist(a, b) / scale, _among(a) / scale, _among(b) / scale


def _among(a: Tensor) -> Tensor:
    """Distances among samples; exactly 0 of each to itself, which matrix products round."""
    return torch.cdist(a, a).fill_diagonal_(0)


def _weighted(found: Distances, weights: Float64[Tensor, "K N"]) -> Float64[Tensor, " K"]:
    """The statistic where sample i counts as often as its weight says, in each of K drawings."""
    a, b = weights[:, found.moved], weights[:, found.real]
    between = ((a @ found.between) * b).sum(dim=1) / (a.sum(dim=1) * b.sum(dim=1))
    return 2 * between - _within(found.among_moved, a) - _within(found.among_real, b)


def _within(distances: Tensor, weights: Tensor) -> Tensor:
    """The mean over pairs of two samples; a sample that is drawn twice is no pair with itself."""
    pairs = weights.sum(dim=1).square() - weights.square().sum(dim=1)
    return ((weights @ distances) * weights).sum(dim=1) / pairs

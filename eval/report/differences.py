"""How sure a difference between two recipes is: over their trainings, or over samples where there is one of each."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from eval.records.intervals import LEVEL, Interval

RESAMPLES = 1000


def mean_over_trainings(values: ArrayLike) -> Interval:
    """Student's interval of a mean over trainings.

    Example:
        >>> [round(end, 3) for end in mean_over_trainings([1.0, 2.0, 3.0])]
        [-0.484, 4.484]
    """
    found = np.asarray(values, dtype=np.float64)
    half = stats.t.ppf((1 + LEVEL) / 2, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found))
    return float(found.mean() - half), float(found.mean() + half)


def between_trainings(one: Sequence[float], other: Sequence[float]) -> Interval:
    """Welch's interval of the difference of two means, over trainings that nothing pairs.

    Example:
        >>> [round(end, 3) for end in between_trainings([1.0, 2.0, 3.0], [1.0, 1.0])]
        [-1.484, 3.484]
    """
    a, b = (np.asarray(values, dtype=np.float64) for values in (one, other))
    parts = np.array([values.var(ddof=1) / len(values) for values in (a, b)])
    difference = float(a.mean() - b.mean())
    if not parts.sum() > 0:
        return difference, difference
    freedom = parts.sum() ** 2 / (parts**2 / [len(a) - 1, len(b) - 1]).sum()
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(parts.sum()))
    return difference - half, difference + half


def between_shares(one: np.ndarray, other: np.ndarray) -> Interval:
    """Interval of the difference of two shares on the same samples (Agresti and Min 2005, Statistics in Medicine 24).

    Half a sample is added to each of the four cells of who is right, so that neither few differing samples nor none
    make it too narrow; about where it holds 0, McNemar's test does not decide.

    Args:
        one: 0 or 1 for each sample.
        other: the same for the other.

    Example:
        >>> ends = between_shares(np.array([1, 1, 1, 0]), np.array([1, 1, 1, 0]))
        >>> [round(end, 3) for end in ends]
        [-0.327, 0.327]
    """
    b, c = ((one == 1) & (other == 0)).sum() + 0.5, ((one == 0) & (other == 1)).sum() + 0.5
    count = len(one) + 2
    difference = float(b - c) / count
    half = float(stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt(b + c - (b - c) ** 2 / count) / count)
    return difference - half, difference + half


def over_samples(statistic: Callable[[np.ndarray], float], count: int, seed: int = 0) -> Interval:
    """Percentile interval of a statistic over samples that are drawn again, with all that belongs to each.

    Args:
        statistic: of the numbers of the samples that were drawn, some of them several times.
        count: of samples.
        seed: of the draws.

    Returns:
        NaN where the statistic is no number in some of the draws.
    """
    rng = np.random.default_rng(seed)
    with np.errstate(invalid="ignore"):  # the difference of two radii above everything tried is no number
        drawn = np.array([statistic(rng.integers(count, size=count)) for _ in range(RESAMPLES)])
    if np.isnan(drawn).any():
        return float("nan"), float("nan")
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="nearest")
    return float(low), float(high)

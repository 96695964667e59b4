"""Fronts of two measurements over the settings of a sweep, and the area below them: paper 3, Figures 4 to 7."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from eval.records.intervals import LEVEL, UNSURE, Interval


def non_dominated(points: np.ndarray) -> np.ndarray:
    """Which points no other is at least as good as in both coordinates, and better in one.

    Args:
        points: `(n, 2)`; more is better.

    Example:
        >>> non_dominated(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 1.0], [3.0, 0.0]]))
        array([ True,  True, False,  True])
    """
    no_worse = np.all(points[None] >= points[:, None], axis=-1)
    better = np.any(points[None] > points[:, None], axis=-1)
    return np.asarray(~(no_worse & better).any(axis=1))


def area(points: np.ndarray, reference: Sequence[float | int], best: Sequence[float | int]) -> float:
    """The hypervolume of some points: the part of a rectangle in which one of them is at least as good in both.

    Args:
        points: `(n, 2)`; more is better. One below the reference in a coordinate counts nothing.
        reference: the worst corner of the rectangle.
        best: the other corner.

    Returns:
        A share in [0, 1], in which neither unit matters; NaN where the rectangle has no area or there is no point.

    Example:
        >>> area(np.array([[0.5, 1.0], [1.0, 0.5]]), (0, 0), (1, 1))
        0.75
    """
    low, high = np.asarray(reference, dtype=float), np.asarray(best, dtype=float)
    if not len(points) or (high <= low).any():
        return math.nan
    scaled = np.clip((points - low) / (high - low), 0, 1)
    scaled = scaled[np.argsort(-scaled[:, 0])]
    heights = np.maximum.accumulate(scaled[:, 1])
    return float((scaled[:, 0] * np.diff(heights, prepend=0.0)).sum())


@dataclass(frozen=True)
class Difference:
    """How much larger the mean of some areas is than that of others.

    Attributes:
        value: of the means.
        interval: Welch's 95 % interval over seeds; NaN below two seeds on either side.
    """

    value: float
    interval: Interval

    @property
    def decided(self) -> bool | None:
        """Whether the interval leaves out zero; None where there is none."""
        low, high = self.interval
        return None if math.isnan(low) else not low <= 0 <= high


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """The difference of two means of areas, one area per seed."""
    value = float(np.mean(ours) - np.mean(theirs))
    if min(len(ours), len(theirs)) < 2:
        return Difference(value, UNSURE)
    if not np.ptp(ours) and not np.ptp(theirs):
        return Difference(value, (value, value))
    found = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(LEVEL)
    return Difference(value, (float(found.low), float(found.high)))

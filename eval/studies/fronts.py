"""Fronts of two measurements over the settings of a sweep, and the area below them: paper 3, Figures 4 to 7."""

import math
from collections.abc import Sequence

import numpy as np


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

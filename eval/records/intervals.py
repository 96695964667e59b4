"""How sure a number is: 95 % intervals over the samples that it rests on."""

from functools import cache

import numpy as np
from scipy import stats

LEVEL = 0.95
Interval = tuple[float, float]
UNSURE: Interval = (float("nan"), float("nan"))
"""Where there is no interval."""


@cache
def share_interval(successes: int, count: int) -> Interval:
    """Of a share: Wilson's score interval.

    Example:
        >>> [round(end, 3) for end in share_interval(8, 10)]
        [0.49, 0.943]
    """
    if not count:
        return UNSURE
    found = stats.binomtest(successes, count).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)


def mean_interval(values: np.ndarray, resamples: int = 2000, seed: int = 0) -> Interval:
    """Of a mean: percentile bootstrap over samples; below two values there is none."""
    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2 or not np.isfinite(values).all():
        return UNSURE
    counts = np.random.default_rng(seed).multinomial(len(values), np.full(len(values), 1 / len(values)), resamples)
    low, high = np.quantile(counts @ values / len(values), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)

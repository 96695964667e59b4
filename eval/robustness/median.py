"""The median of radii, and the interval of order statistics that holds it."""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from torch import Tensor


def median(values: Float[Tensor, " N"]) -> float:
    """The median, between the two middle values where their number is even."""
    ranked = values.sort().values
    below, above = ranked[(len(ranked) - 1) // 2], ranked[len(ranked) // 2]
    return float(above) if below == above else float((below + above) / 2)


def median_interval(lower: ArrayLike, upper: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Confidence interval of the median radius of the population that the samples were drawn from.

    The number of samples below the median is binomial with p = ½, whatever the distribution of radii, so that two
    order statistics of equal rank from below and above hold the median with at least the probability `level`
    (Conover, Practical Nonparametric Statistics, section 3.2). Of brackets that are open, the low end counts for the
    low end of the interval and the high end for the high one, so that the interval is never too narrow.

    Args:
        lower: largest strength at which the attack was seen to fail, `(N,)`; 0 where misclassified already.
        upper: smallest strength at which it succeeded, `(N,)`; infinite where it never did.
        level: probability with which the interval holds the median, in (0, 1).

    Returns:
        Low and high end; 0 and infinity where there are too few samples, fewer than 6 at a level of 0.95.

    Raises:
        ValueError: if the ends are not one of each per sample, are NaN or below 0, or the level is not in (0, 1).

    Example:
        >>> median_interval([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6.5])
        (1.0, 6.5)
    """
    if not 0 < level < 1:
        raise ValueError(f"`level` should lie in (0, 1). Found {level}.")
    low, high = _ends(lower, "lower"), _ends(upper, "upper")
    if low.shape != high.shape:
        raise ValueError(f"`lower` should have the shape of `upper`, {high.shape}. Found {low.shape}.")
    rank = interval_rank(len(high), level)
    if rank == 0:
        return 0.0, float("inf")
    # An attack that fails at one strength may find a smaller perturbation at another.
    low = np.minimum(low, high)
    return float(np.sort(low)[rank - 1]), float(np.sort(high)[len(high) - rank])


def interval_rank(count: int, level: float) -> int:
    """Which order statistics from below and above bound the interval of the median; 0 of too few samples.

    Example:
        >>> interval_rank(100, 0.95), interval_rank(5, 0.95)
        (40, 0)
    """
    from scipy.stats import binom

    return int(binom.ppf((1 - level) / 2, count, 0.5))


def _ends(values: ArrayLike, name: str) -> np.ndarray:
    ends = np.asarray(values, dtype=np.float64)
    if ends.ndim != 1 or not len(ends):
        raise ValueError(f"`{name}` should hold one number per sample, at least one. Found shape {ends.shape}.")
    if not (ends >= 0).all():
        raise ValueError(f"`{name}` should be at least 0. Found {ends[~(ends >= 0)][0]}.")
    return ends

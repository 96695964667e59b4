"""A normal distribution from observations of which some are only known to lie below a limit (Tobin 1958)."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import log_ndtr
from torch import Tensor

ROUNDS = 30


class Normal(NamedTuple):
    """Mean and standard deviation."""

    mean: float
    spread: float


def censored_normal(
    values: Float[Tensor, " N"], censored: Bool[Tensor, " N"], narrowest: float, widest: float
) -> Normal:
    """The most likely normal distribution, by expectation and maximisation.

    Args:
        values: what was observed, or the limit that it lies below, `(N,)` float64, at least one.
        censored: which of them are limits. Where all are, the mean is moved well below them.
        narrowest: smallest standard deviation that is believed.
        widest: the largest.

    Example:
        >>> import torch
        >>> values = torch.tensor([0.0, 0.0, 1.0, 2.0, 3.0], dtype=torch.float64)
        >>> fitted = censored_normal(values, values == 0, 0.01, 10.0)
        >>> round(fitted.mean, 2), round(fitted.spread, 2)
        (0.72, 1.8)
    """
    found = Normal(float(values.median()), min(max(0.2, narrowest), widest))
    # In numpy, which takes a quarter of the time for as few numbers.
    seen, limits = values[~censored].numpy(), values[censored].numpy()
    for _ in range(ROUNDS):
        z = (limits - found.mean) / found.spread
        hazard = np.exp(-np.square(z) / 2 - math.log(2 * math.pi) / 2 - log_ndtr(z))  # φ(z) / Φ(z)
        hidden = np.clip(1 - z * hazard - np.square(hazard), 0, None) * found.spread**2
        expected = np.concatenate([seen, found.mean - found.spread * hazard])
        mean = float(expected.mean())
        spread = math.sqrt((np.square(expected - mean).sum() + hidden.sum()) / len(expected))
        found = Normal(mean, min(max(spread, narrowest), widest))
    return found

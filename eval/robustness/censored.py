"""A normal distribution from observations of which some are only known to lie below a limit (Tobin 1958)."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

ROUNDS = 30


class Normal(NamedTuple):
    """Mean and standard deviation."""

    mean: float
    spread: float

    def below(self, limit: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
        """What is expected of a number that is known to lie below a limit."""
        return self.mean - self.spread * _hazard((limit - self.mean) / self.spread)


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
        >>> values = torch.tensor([0.0, 0.0, 1.0, 2.0, 3.0], dtype=torch.float64)
        >>> fitted = censored_normal(values, values == 0, 0.01, 10.0)
        >>> round(fitted.mean, 2), round(fitted.spread, 2)
        (0.72, 1.8)
    """
    found = Normal(float(values.median()), min(max(0.2, narrowest), widest))
    for _ in range(ROUNDS):
        expected = torch.where(censored, found.below(values), values)
        hidden = torch.where(censored, _variance((values - found.mean) / found.spread), 0) * found.spread**2
        mean = float(expected.mean())
        spread = math.sqrt(float(((expected - mean).square() + hidden).mean()))
        found = Normal(mean, min(max(spread, narrowest), widest))
    return found


def _hazard(z: Tensor) -> Tensor:
    """φ(z) / Φ(z) of the normal distribution: how far below 0 a number below z lies, on average."""
    return torch.exp(-z.square() / 2 - math.log(2 * math.pi) / 2 - torch.special.log_ndtr(z))


def _variance(z: Tensor) -> Tensor:
    """Of a standard normal number that is known to lie below z."""
    return (1 - z * _hazard(z) - _hazard(z).square()).clamp(min=0)

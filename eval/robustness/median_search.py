"""The median of all radii, by attacks on the samples that decide it.

A round attacks at the low end of a band that the median is expected in, as wide as the resolution, whoever is not yet
known to lie above it or below. Failures count at the low end and successes at the high end, so that the band is the
bracket once enough of both are known; who is missing then is looked for where the margin that was left is smallest.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from eval.robustness.pilot import calibrate
from eval.robustness.search import SMALLEST, Search

PLANNED = 12
"""Rounds led by estimates; should they mislead, bisection closes the bracket, however wrong they are."""

STRIDES = (16, 4, 1)
"""Of the samples near the median, every how many-th is attacked in the first rounds: they improve the estimate."""

NEAR = 0.46
"""How far from ½ the probability to lie below the median is for a sample to count as near it."""

LEANS = (0.33, 0.2, 0.1)
"""By rounds, how far the first strength leans from the band towards the sample's own radius, in logarithms.

What is expected far below is attacked below the median and what is expected far above, above it, so that what is
found still counts where the median turns out to be elsewhere."""

FARTHEST = 0.04
"""How far it leans at most."""


class Band(NamedTuple):
    """Where the bracket of the median is to end up."""

    low: float
    high: float


def close_median(search: Search, resolution: float, pilot: int, guess: float | None) -> None:
    """Close the brackets that decide the median, and no others.

    Args:
        search: with the brackets of all samples.
        resolution: relative width of the median's bracket in the end.
        pilot: samples of the pilot, at most.
        guess: where the median is expected, in place of a pilot.
    """
    count = len(search.upper)
    median = MedianSearch(search, resolution)
    for rank in sorted({(count - 1) // 2, count // 2}):
        if median.is_open(rank):
            calibrate(search, rank, pilot, guess)
            median.close(rank)


class MedianSearch:
    """The brackets of the radii of the middle ranks.

    Args:
        search: with the brackets of all samples.
        resolution: relative width of a closed bracket.
    """

    def __init__(self, search: Search, resolution: float) -> None:
        self.search, self.resolution = search, resolution
        self.keep, self.pace = 1 - 0.98 * resolution, 1 + 3 * resolution
        self.turn, self.band = 0, Band(0.0, 0.0)

    def is_open(self, rank: int) -> bool:
        """Whether the radius of a rank is not yet known to the resolution."""
        return bool(self.search.is_open(*self.search.bracket(rank), self.resolution))

    def close(self, rank: int) -> None:
        """Attack until the radius of a rank is known."""
        while self.is_open(rank):
            if self.turn >= PLANNED or not self._planned(rank):
                self._bisect(rank)
            self.turn += 1

    def _planned(self, rank: int) -> bool:
        """One round led by the estimates; False where they find nobody to attack."""
        search, estimates = self.search, self.search.estimates
        stride = STRIDES[min(self.turn, len(STRIDES) - 1)]
        numbers = torch.stack([estimates.quantile(rank), *search.bracket(rank)])
        expected, low, high = numbers.tolist()
        self._place(min(expected, search.epsilon_max), low, high, stride > 1)
        which = (self._wanted(rank) & ~self._held(expected, stride)).nonzero().squeeze(1)
        search.try_at(which, self._strengths()[which])
        distance = (estimates.prior - numbers[0].log()).abs()
        estimates.learn(search.lower, search.upper, distance < 1.5 * estimates.ratio.spread + 0.03)
        return len(which) > 0

    def _place(self, expected: float, low: float, high: float, anew: bool) -> None:
        """Move the band to where the median is expected, within its bracket, but not without need.

        Each failure at the low end of the old band would have to be seen anew at that of the new one.
        """
        slack = 0.2 * self.resolution
        inside = self.band.low * (1 - slack) <= expected <= self.band.high * (1 + slack)
        if inside and not anew:
            return
        ceiling = self.search.epsilon_max
        start = min(max(expected * (1 - self.resolution / 2), low), high * self.keep)
        self.band = Band(ceiling, ceiling) if expected >= ceiling else Band(start, min(start / self.keep, ceiling))

    def _wanted(self, rank: int) -> Bool[Tensor, " N"]:
        """Who is neither above nor below the band; where nobody is, the likeliest to fill up what is missing."""
        lower, upper, estimates = self.search.lower, self.search.upper, self.search.estimates
        fails, falls = lower >= self.band.low, upper <= self.band.high
        short, spare = rank + 1 - falls.sum(), len(lower) - rank - fails.sum()
        below = first_of(~falls & (lower < self.band.high), -estimates.below(self.band.high), short + short // 2 + 1)
        above = first_of(~fails & (upper > self.band.low), estimates.below(self.band.low), spare + spare // 2 + 1)
        neither = ~fails & ~falls
        return torch.where(neither.any(), neither, torch.where(short > 0, below, above))

    def _held(self, expected: float, stride: int) -> Bool[Tensor, " N"]:
        """Samples near the median that wait until it is better known where that is."""
        estimates = self.search.estimates
        share = estimates.below(expected)
        fresh = ((share - 0.5).abs() < NEAR) & ~estimates.seen & self.search.correct
        return fresh & (_position(fresh, share) % stride != 0)

    def _strengths(self) -> Float[Tensor, " N"]:
        """The low end of the band, or the high end for who failed at it already."""
        estimates, low = self.search.estimates, self.band.low
        lean = LEANS[min(self.turn, len(LEANS) - 1)] * (estimates.mean - math.log(low))
        first = low * torch.where(estimates.seen, 0, lean.clamp(-FARTHEST, FARTHEST)).exp()
        return torch.where(self.search.lower >= low, self.band.high, first)

    def _bisect(self, rank: int) -> None:
        """Attack whoever can still change the bracket at its middle, or beyond its end where the other is missing."""
        low, high = torch.stack(self.search.bracket(rank)).tolist()
        self.pace = min(self.pace**2, 1 / SMALLEST)
        if low > 0 and high < torch.inf:
            strength = (low + high) / 2
        elif high < torch.inf:
            strength = high / self.pace
        else:
            strength = min(low * self.pace if low > 0 else self.band.low, self.search.epsilon_max)
        overlap = (self.search.lower < high) & (self.search.upper > low)
        self.search.try_at((self.search.undecided(strength) & overlap).nonzero().squeeze(1), strength)


def _position(chosen: Bool[Tensor, " N"], value: Float[Tensor, " N"]) -> Int[Tensor, " N"]:
    """Place of each chosen sample among the chosen ones, in ascending order."""
    return torch.where(chosen, value, torch.inf).argsort().argsort()


def first_of(chosen: Bool[Tensor, " N"], value: Float[Tensor, " N"], count: Int[Tensor, ""]) -> Bool[Tensor, " N"]:
    """So many of the chosen samples, those of the smallest values."""
    return chosen & (_position(chosen, value) < count)

"""Every radius, by attacks on each sample at a strength of its own."""

import torch
from jaxtyping import Float
from torch import Tensor

from eval.robustness.pilot import calibrate
from eval.robustness.search import SMALLEST, Search

PLANNED = 4
"""Attacks per sample led by estimates; should they mislead, bisection closes the bracket."""


def close_all(search: Search, resolution: float, pilot: int) -> None:
    """Close all brackets, each with the attacks that its own radius needs.

    Args:
        search: with the brackets of all samples.
        resolution: relative width of a closed bracket.
        pilot: samples of the pilot, at most.
    """
    turn, pace = 0, 1.1
    while True:
        which = search.is_open(search.lower, search.upper, resolution).nonzero().squeeze(1)
        if not len(which):
            return
        calibrate(search, len(search.upper) // 2, pilot, None)
        if turn < PLANNED:
            strength = _planned(search, resolution)
        else:
            strength, pace = _bisecting(search, pace), min(pace**2, 1 / SMALLEST)
        search.try_at(which, strength[which])
        search.estimates.learn(search.lower, search.upper, search.correct)
        turn += 1


def _planned(search: Search, resolution: float) -> Float[Tensor, " N"]:
    """A strength that closes the bracket if the estimate is right, or improves the estimate."""
    lower, upper, estimates = search.lower, search.upper, search.estimates
    keep, mean = 1 - 0.98 * resolution, estimates.mean.exp()
    # A little below at first: what a failure leaves of the margin says more than a success.
    unknown = mean * (1 - estimates.spread / 2)
    # Of what was refuted by a success, the other half of the normal distribution is left.
    refuted = upper * torch.where(mean >= upper, (-estimates.spread / 2).exp(), 1)
    aim = torch.where(lower > 0, mean * (1 + 0.4 * resolution), unknown).minimum(refuted)
    return aim.maximum(lower / keep).minimum(upper * keep)


def _bisecting(search: Search, pace: float) -> Float[Tensor, " N"]:
    """The middle of a bracket, or a gallop away from its one end."""
    lower, upper = search.lower, search.upper
    beyond = torch.where(upper.isfinite(), upper / pace, lower * pace)
    return torch.where((lower > 0) & upper.isfinite(), (lower + upper) / 2, beyond)

"""A few samples that say how far radii lie from what was predicted of them."""

import torch
from jaxtyping import Int
from torch import Tensor

from eval.robustness.search import Search

SHARE = 60
"""The pilot is at most one in so many of the samples, but not fewer than `FEW`."""

FEW = 8

ROUNDS = 8
"""How often the pilot is attacked anew where the estimates were far off."""


def calibrate(search: Search, rank: int, pilot: int, guess: float | None) -> None:
    """Set the scale of all estimates, unless something was attacked already.

    Args:
        search: with the estimates.
        rank: of the radius that matters most; the pilot is predicted to lie around it.
        pilot: samples of the pilot, at most.
        guess: the radius of that rank, in place of a pilot.
    """
    estimates = search.estimates
    if estimates.seen.any():
        return
    if guess is not None:
        estimates.rescale(guess / float(estimates.quantile(rank)))
        return
    chosen = torch.zeros_like(search.correct)
    chosen[_around(search, rank, min(pilot, max(FEW, len(search.upper) // SHARE)))] = True
    chosen &= search.correct
    for _ in range(ROUNDS):
        before = float(estimates.quantile(rank))
        # A little below: what a failure leaves of the margin says more than a success.
        strength = 0.97 * estimates.prior.exp()
        which = (chosen & search.undecided(strength)).nonzero().squeeze(1)
        search.try_at(which, strength[which])
        estimates.learn(search.lower, search.upper, chosen)
        if abs(float(estimates.quantile(rank)) / before - 1) < 0.15 or before >= search.epsilon_max:
            return


def _around(search: Search, rank: int, size: int) -> Int[Tensor, " P"]:
    """The samples around a rank, in the order of what is predicted."""
    order = torch.where(search.correct, search.estimates.predicted, -torch.inf).argsort()
    start = max(0, min(rank - size // 2, len(order) - size))
    return order[start : start + size]

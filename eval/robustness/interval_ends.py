"""The ends of the confidence interval of the median, which a search for the median alone leaves open."""

from jaxtyping import Bool, Int
from torch import Tensor

from eval.robustness.median import interval_rank
from eval.robustness.median_search import first_of
from eval.robustness.search import Search

SLACKS = (0.03, 0.06, 0.12)
"""How far outside of where an end is expected it is looked for, in turn, until it lies there."""


def close_ends(search: Search, level: float = 0.95) -> None:
    """Attack at each end of the interval whoever is likeliest to close it.

    Samples below the median were seen to succeed and not to fail, those above the other way round. At the low end,
    failures are wanted of some below the median; at the high end, successes of some above it: of about √N each.
    Where estimates mislead, an end stays open, and the interval is wider than it need be, but never too narrow.

    Args:
        search: whose median is known.
        level: of the interval, see `eval.robustness.median.median_interval`.
    """
    count, estimates = len(search.upper), search.estimates
    rank = interval_rank(count, level)
    if rank == 0:
        return
    needed = count - rank + 1
    for slack in SLACKS:
        low = min(float(estimates.quantile(rank - 1)) * (1 - slack), search.epsilon_max)
        missing = needed - (search.lower >= low).sum()
        failing = first_of(search.undecided(low), estimates.below(low), missing + missing // 2 + 1)
        _attack(search, failing, missing, low)
        high = min(float(estimates.quantile(count - rank)) * (1 + slack), search.epsilon_max)
        missing = needed - (search.upper <= high).sum()
        falling = first_of(search.undecided(high), -estimates.below(high), missing + missing // 2 + 1)
        _attack(search, falling, missing, high)


def _attack(search: Search, which: Bool[Tensor, " N"], missing: Int[Tensor, ""], strength: float) -> None:
    """Attack some samples at a strength, unless enough is known there."""
    if missing > 0:
        search.try_at(which.nonzero().squeeze(1), strength)

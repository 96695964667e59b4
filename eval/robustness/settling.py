"""Of how many samples nothing more is to be found: how far a search is, for whoever looks."""

from collections.abc import Callable, Sequence

from eval.robustness.search import Search
from generators.progress import Stage


def count_settled(
    search: Search, looked_at: Stage, resolution: float, curve: float | None, at: Sequence[float]
) -> Callable[[], None]:
    """Writes into a stage how many samples are settled; nothing where nobody looks.

    Args:
        search: with the brackets of all samples.
        looked_at: the stage.
        resolution: of the median's bracket.
        curve: of all others; None where they may stay open.
        at: strengths at which all samples are to be decided.
    """

    def count() -> None:
        if looked_at.watched:
            looked_at.done = len(search.upper) - _unsettled(search, resolution, curve, at)

    return count


def _unsettled(search: Search, resolution: float, curve: float | None, at: Sequence[float]) -> int:
    low, high = search.bracket((len(search.upper) - 1) // 2)
    unsettled = (search.lower < high) & (search.upper > low) & search.is_open(low, high, resolution)
    if curve is not None:
        unsettled |= search.is_open(search.lower, search.upper, curve)
    for strength in at:
        unsettled |= search.undecided(strength)
    return int(unsettled.sum())

"""What is found of a claim: whether a 95 % interval speaks for it, against it, or for neither."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from eval.records import Record, Records
from eval.records.intervals import Interval
from eval.report.chance import at_chance
from eval.report.chosen_numbers import Shown, all_shown
from eval.report.correlating import Correlated, correlated
from eval.report.residual_doubts import leads_nowhere
from eval.report.sweeps import Sweep, derived, sweeps
from eval.studies.paper_claims import Claim

CONFIRMED, REFUTED, UNDECIDED = "confirmed", "not confirmed", "undecided"


@dataclass(frozen=True)
class Finding:
    """What was found of a claim on one data set, at one setting.

    Attributes:
        claim: of a paper.
        verdict: whether it is confirmed.
        sentence: the number, its interval and what it rests on.
    """

    claim: Claim
    verdict: str
    sentence: str


@dataclass(frozen=True)
class Evidence:
    """What claims are judged by; each part is made once, however many claims there are."""

    records: Records

    @cached_property
    def shown(self) -> list[Shown]:
        """Every number of a classifier or an estimator."""
        return all_shown(self.records)

    @cached_property
    def lost(self) -> set[str]:
        """Subjects that are near chance."""
        return at_chance(self.records)

    @cached_property
    def astray(self) -> set[str]:
        """Estimators that lead most samples not to the class that they should."""
        return leads_nowhere(self.records)

    @cached_property
    def sweeps(self) -> list[Sweep]:
        """Every sweep."""
        return sweeps(self.records)

    @cached_property
    def derived(self) -> list[Record]:
        """What follows from the records of sweeps."""
        return derived(self.records, self.sweeps)

    @cached_property
    def correlated(self) -> Correlated:
        """What correlations are of."""
        return correlated(self.records)

    def about(self, claim: Claim) -> list[Shown]:
        """The numbers of the experiment that a claim names, or of all."""
        return [s for s in self.shown if claim.data in ("", s.record.model.data)]

    def kept(self, shown: Sequence[Shown]) -> list[Shown]:
        """Those of models that are not near chance."""
        return [s for s in shown if s.record.subject.key not in self.lost]


def side(interval: Interval, than: float = 0.0) -> str:
    """Whether an interval lies above a number.

    Example:
        >>> side((0.1, 0.2)), side((-0.2, -0.1)), side((0.0, 0.2))
        ('confirmed', 'not confirmed', 'undecided')
    """
    low, high = interval
    return CONFIRMED if low > than else REFUTED if high < than else UNDECIDED


def inside(interval: Interval, least: float, most: float) -> str:
    """Whether an interval lies within two numbers."""
    low, high = interval
    return CONFIRMED if least <= low and high <= most else REFUTED if high < least or low > most else UNDECIDED


def why(verdict: str, interval: Interval, reaches: str) -> str:
    """Why something is undecided; empty where it is decided.

    Args:
        verdict: of the interval.
        interval: NaN where there is none.
        reaches: what an interval does that decides nothing, such as "holds 0".
    """
    if verdict != UNDECIDED:
        return ""
    return (
        "; without an interval, nothing is decided" if any(map(math.isnan, interval)) else f"; the interval {reaches}"
    )

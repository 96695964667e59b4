"""What a study found, in sentences made from its records, beside what the paper claims.

A claim is confirmed where the whole 95 % interval speaks for it, not confirmed where all of it speaks against it, and
undecided otherwise. Differences are paired by the seeds of trainings; where there is one training of each, they are
paired by samples, which says nothing of other trainings.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from eval.records import Quantity, Records
from eval.report import front_area
from eval.report.chosen_numbers import (
    Shown,
    all_shown,
    by_data,
    by_seed,
    named,
    per_sample,
    setting,
    side_by_side,
    swept,
)
from eval.report.differences import (
    Interval,
    between_shares,
    between_trainings,
    mean_over_trainings,
    over_samples,
)
from eval.report.notes import near_chance
from eval.studies.correlation import correlations
from eval.studies.paper_claims import Claim
from eval.tables.cells import correlation_told, number
from eval.tables.table import Table

CONFIRMED, REFUTED, UNDECIDED = "confirmed", "not confirmed", "undecided"
UNSURE: Interval = (math.nan, math.nan)


@dataclass(frozen=True)
class Finding:
    """What was found of a claim on one data set.

    Attributes:
        claim: of a paper.
        verdict: whether it is confirmed.
        sentence: the number, its interval and what it rests on.
    """

    claim: Claim
    verdict: str
    sentence: str


@dataclass(frozen=True)
class Compared:
    """Two recipes by one measurement."""

    quantity: Quantity
    means: tuple[float, float]
    interval: Interval
    how: str

    @property
    def difference(self) -> float:
        """Of the first from the second."""
        return self.means[0] - self.means[1]


class Findings(Table):
    """A table that is printed as sentences."""

    def __str__(self) -> str:
        lines = []
        for line in self.frame.to_dict("records"):
            claim = f"{line['paper']}: {line['the paper claims']}" if line["paper"] else line["the paper claims"]
            lines.append(f"{line['found']}\n  {line['verdict']}: {claim}")
        return "\n".join(lines)


def findings(records: Records, claims: Sequence[Claim]) -> list[Finding]:
    """Every claim, on every data set that it is about, judged from the records alone."""
    shown = all_shown(records) if claims else []
    return [found for claim in claims for found in _judged(records, shown, claim)]


def findings_table(found: Sequence[Finding]) -> Findings:
    """One row per finding, in the order of claims."""
    lines = [
        {"found": f.sentence, "verdict": f.verdict, "the paper claims": f.claim.says, "paper": f.claim.paper}
        for f in found
    ]
    return Findings(pd.DataFrame(lines))


def _judged(records: Records, shown: Sequence[Shown], claim: Claim) -> list[Finding]:
    """A claim, without models whose accuracy is near chance: they are alike in whatever the claim is about."""
    about = [s for s in shown if claim.data in ("", s.record.model.data)]
    lost = {record.subject.key for record in records if record.quantity.kind == "accuracy" and near_chance(record)}
    kept = [s for s in about if s.record.subject.key not in lost]
    found = JUDGES[claim.kind](records, kept, claim)
    named = {str(value) for value in claim.about.values()}
    if all(s.record.model.recipe not in named for s in about if s.record.subject.key in lost):
        return found
    return [replace(f, sentence=f"{f.sentence} Models at chance are left out.") for f in found]


def _differences(records: Records, shown: Sequence[Shown], claim: Claim) -> list[Finding]:
    """more, less and same: one recipe against another."""
    measurement, of, than = (str(claim.about[key]) for key in ("measurement", "of", "than"))
    ones, others = (by_data(named(shown, measurement, recipe)) for recipe in (of, than))
    found = []
    for data in [data for data in ones if data in others]:
        compared = _compared(records, ones[data], others[data])
        if compared is None:
            why = f"{data}: {measurement} of {of} or {than} was measured several times for one seed."
            found.append(Finding(claim, UNDECIDED, why))
        else:
            verdict = _verdict(claim, compared.interval)
            found.append(Finding(claim, verdict, f"{data}: {_told(compared, of, than)}{_enough(verdict)}."))
    return found or [_nothing(claim, f"{measurement} of {of} and {than}")]


def _compared(records: Records, ones: Sequence[Shown], others: Sequence[Shown]) -> Compared | None:
    """Two recipes on one data set; None where a seed has several numbers."""
    one, other = by_seed(side_by_side(ones)), by_seed(side_by_side(others))
    if one is None or other is None:
        return None
    quantity = next(iter(one.values())).record.quantity
    common = sorted(one.keys() & other.keys())
    if len(common) > 1:
        a, b = ([found[seed].record.value for seed in common] for found in (one, other))
        interval = mean_over_trainings(np.subtract(a, b)) if _finite(a, b) else UNSURE
        return Compared(quantity, (_mean(a), _mean(b)), interval, f"paired over {len(common)} seeds")
    a, b = ([shown.record.value for shown in found.values()] for found in (one, other))
    if min(len(a), len(b)) > 1:
        interval = between_trainings(a, b) if _finite(a, b) else UNSURE
        return Compared(quantity, (_mean(a), _mean(b)), interval, f"over {len(a)} and {len(b)} trainings")
    pair = [found[common[0]] if common else next(iter(found.values())) for found in (one, other)]
    interval, count = _over_samples(records, *pair)
    how = (
        f"one training each, so over {count} samples alone" if count else "one training each, and nothing per sample"
    )
    return Compared(quantity, (pair[0].record.value, pair[1].record.value), interval, how)


def _over_samples(records: Records, one: Shown, other: Shown) -> tuple[Interval, int]:
    """The interval of a difference of two models on the samples that both met, and how many those are."""
    first, second = per_sample(records, one), per_sample(records, other)
    if first is None or second is None:
        return UNSURE, 0
    both = pd.concat([first.outcomes, second.outcomes], axis=1, join="inner").to_numpy()
    if first.is_share and second.is_share:
        return between_shares(both[:, 0], both[:, 1]), len(both)
    a, b = both.T
    return over_samples(lambda drawn: first.statistic(a[drawn]) - second.statistic(b[drawn]), len(both)), len(both)


def _values(records: Records, shown: Sequence[Shown], claim: Claim) -> list[Finding]:
    """value: one recipe against a range."""
    measurement, of = str(claim.about["measurement"]), str(claim.about["of"])
    low, high = map(float, claim.about["between"])
    found = []
    for data, numbers in by_data(named(shown, measurement, of)).items():
        seeds = by_seed(side_by_side(numbers))
        if seeds is None:
            found.append(
                Finding(claim, UNDECIDED, f"{data}: {measurement} of {of} has several numbers for one seed.")
            )
            continue
        first, values = next(iter(seeds.values())).record, [shown.record.value for shown in seeds.values()]
        several = len(values) > 1
        interval = (mean_over_trainings(values) if _finite(values) else UNSURE) if several else first.interval
        how = f"over {len(values)} trainings" if several else f"one training, so over {first.samples} samples alone"
        verdict = _inside(interval, low, high)
        ends = " to ".join(number(first.quantity, end, like=_mean(values)) for end in (low, high))
        told = f"{first.quantity.title} of {of} is {_with(first.quantity, _mean(values), interval)} ({how})"
        found.append(Finding(claim, verdict, f"{data}: {told}, where {ends} is claimed{_enough(verdict)}."))
    return found or [_nothing(claim, f"{measurement} of {of}")]


def _correlations(records: Records, shown: Sequence[Shown], claim: Claim) -> list[Finding]:
    """correlates: over settings, with all seeds of each."""
    metric, strength = str(claim.about["measurement"]), str(claim.about["with"])
    recipe, above = str(claim.about.get("of", "")), float(claim.about["above"])
    both = {name: by_data(named(shown, name, recipe)) for name in (metric, strength)}
    found = []
    for data in [data for data in both[metric] if data in both[strength]]:
        chosen = [(name, one) for name in both for one in swept(both[name][data])]
        rows = [
            (data, one.record.model.recipe, setting(one.record), one.record.model.seed, name, one.record.value)
            for name, one in chosen
        ]
        frame = pd.DataFrame(rows, columns=["data", "recipe", "epsilon", "seed", "measurement", "value"])
        table = correlations(
            frame.drop_duplicates(["recipe", "epsilon", "seed", "measurement"]), [metric], [strength]
        )
        line = table[table.statistic == "Pearson"].iloc[0]
        verdict = _side((line.low - above, line.high - above))
        titles = " and ".join(next(one for n, one in chosen if n == name).record.quantity.title for name in both)
        told = f"Pearson's correlation of {titles} is {correlation_told(line.value, line.low, line.high)}"
        rests = f"over {line.models} models of {line.settings} settings"
        found.append(Finding(claim, verdict, f"{data}: {told}, {rests}{_enough(verdict)}."))
    return found or [_nothing(claim, f"{metric} and {strength}")]


def _fronts(records: Records, shown: Sequence[Shown], claim: Claim) -> list[Finding]:
    """front: two recipes over their settings, by the area that each dominates."""
    x, y, of, than = (str(claim.about[key]) for key in ("x", "y", "of", "than"))
    axes = {(name, recipe): by_data(swept(named(shown, name, recipe))) for name in (x, y) for recipe in (of, than)}
    found = []
    for data in [data for data in axes[x, of] if all(data in part for part in axes.values())]:
        fronts = [front_area.front_of(axes[x, recipe][data], axes[y, recipe][data]) for recipe in (of, than)]
        compared = front_area.compared(records, fronts[0], fronts[1], claim.about.get("reference"))
        if compared is None:
            why = (
                f"{data}: {of} and {than} have {len(fronts[0])} and {len(fronts[1])} settings that could be compared."
            )
            found.append(Finding(claim, UNDECIDED, why))
            continue
        titles = " against ".join(axes[name, of][data][0].record.quantity.title for name in (x, y))
        areas = " and ".join(
            f"{100 * share:.1f} ({recipe})" for share, recipe in zip(compared.areas, (of, than), strict=True)
        )
        low, high = compared.interval
        told = f"{100 * (compared.areas[0] - compared.areas[1]):+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"
        verdict = _side(compared.interval)
        text = f"{data}: of {titles}, fronts dominate {areas} % of the rectangle around them: {told}, {compared.how}"
        found.append(Finding(claim, verdict, f"{text}{_enough(verdict)}."))
    return found or [_nothing(claim, f"{x} and {y} of {of} and {than}")]


JUDGES: dict[str, Callable[[Records, Sequence[Shown], Claim], list[Finding]]] = {
    "more": _differences,
    "less": _differences,
    "same": _differences,
    "value": _values,
    "correlates": _correlations,
    "front": _fronts,
}


def _verdict(claim: Claim, interval: Interval) -> str:
    """Of a difference."""
    low, high = interval
    if claim.kind == "same":
        within = float(claim.about["within"])
        return _inside(interval, -within, within)
    return _side((low, high) if claim.kind == "more" else (-high, -low))


def _side(interval: Interval) -> str:
    """Whether an interval lies above 0."""
    low, high = interval
    return CONFIRMED if low > 0 else REFUTED if high < 0 else UNDECIDED


def _inside(interval: Interval, least: float, most: float) -> str:
    low, high = interval
    return CONFIRMED if least <= low and high <= most else REFUTED if high < least or low > most else UNDECIDED


def _nothing(claim: Claim, what: str) -> Finding:
    where = f"{claim.data}: " if claim.data else ""
    return Finding(claim, UNDECIDED, f"{where}{what} was not measured on the same samples.")


def _enough(verdict: str) -> str:
    return "; too few to decide" if verdict == UNDECIDED else ""


def _told(compared: Compared, of: str, than: str) -> str:
    quantity, (a, b) = compared.quantity, compared.means
    like = a if math.isfinite(a) else None
    values = f"{number(quantity, a)} for {of} and {number(quantity, b, like=like)} for {than}"
    low, high = (_signed(quantity, end, a) for end in compared.interval)
    difference = f"{_signed(quantity, compared.difference, a)} [{low}, {high}]"
    return f"{quantity.title} is {values}: {difference}, {compared.how}"


def _signed(quantity: Quantity, value: float, like: float) -> str:
    sign = "+" if value > 0 else "−" if value < 0 else ""
    return sign + number(quantity, abs(value), like=like if math.isfinite(like) else None)


def _with(quantity: Quantity, value: float, interval: Interval) -> str:
    low, high = (number(quantity, end, like=value) for end in interval)
    return f"{number(quantity, value)} [{low}, {high}]"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _finite(*several: Sequence[float]) -> bool:
    return all(math.isfinite(value) for values in several for value in values)

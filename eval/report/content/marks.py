"""Which numbers of the side-by-side table differ from those of plain training beyond their 95 % interval."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eval.records import Record, Records
from eval.records.intervals import Interval
from eval.report.differences import between_trainings, mean_over_trainings
from eval.report.tables import shown_beside
from eval.studies.paper_claims import Claim
from eval.tables.rows import Row, column_titles, rows

PLAIN = "B"
"""Plain training, with which others are compared where it is there."""
FEW = 12
"""Rows up to which, where nothing else says with what to compare, it is the first."""
HIGHER, LOWER = "▲", "▼"

Place = tuple[str, str, str]
"""A cell of a table, by what stands under "data" and "recipe" and the title of its column."""


@dataclass(frozen=True)
class Mark:
    """A sign and what it means."""

    sign: str
    meaning: str


def marks(records: Records, claims: Sequence[Claim] = ()) -> tuple[dict[Place, Mark], dict[str, str]]:
    """The cells that differ from the row that they are compared with, beyond their interval.

    Args:
        records: of a folder.
        claims: of papers, which say what is compared with what where there is no plain training.

    Returns:
        The marks by their cells, and by data set the recipe that others are compared with.
    """
    shown = shown_beside(records)
    titles = column_titles(shown)
    by_data: dict[str, list[Row]] = {}
    for row in rows(shown):
        by_data.setdefault(row.data, []).append(row)
    found: dict[Place, Mark] = {}
    against = {}
    for data, members in by_data.items():
        base = _base(members, claims)
        others = [row for row in members if row is not base]
        if base is not None and others:
            against[data] = base.recipe
            found |= {
                (data, row.recipe, titles[own[0].quantity]): mark
                for row in others
                for own, of_base in _pairs(row, base)
                if (mark := _mark(own, of_base, base.recipe))
            }
    return found, against


def _base(members: Sequence[Row], claims: Sequence[Claim]) -> Row | None:
    """The row that others are compared with."""
    than = Counter(str(claim.about["than"]) for claim in claims if "than" in claim.about)
    wanted = [PLAIN, *(name for name, _ in than.most_common())]
    named = {row.records[0].model.recipe: row for row in reversed(members)}
    first = members[0] if len(members) <= FEW else None
    return next((named[name] for name in wanted if name in named), first)


def _pairs(row: Row, base: Row) -> list[tuple[list[Record], list[Record]]]:
    """What both rows have of one quantity."""
    pairs = []
    for quantity in dict.fromkeys(record.quantity for record in row.records):
        own, of_base = ([r for r in part.records if r.quantity == quantity] for part in (row, base))
        if of_base:
            pairs.append((own, of_base))
    return pairs


def _mark(own: Sequence[Record], of_base: Sequence[Record], than: str) -> Mark | None:
    low, high = difference(own, of_base)
    if low > 0:
        return Mark(HIGHER, f"higher than {than}")
    return Mark(LOWER, f"lower than {than}") if high < 0 else None


def difference(ones: Sequence[Record], others: Sequence[Record]) -> Interval:
    """95 % interval of the difference of two recipes in one quantity; NaN where there is none.

    It is paired by seeds where no seed has several models, else Welch's; of one model each it reaches from one end of
    the two intervals over samples to the other, so that it holds 0 where those overlap.

    Args:
        ones: records of one recipe, one for each of its models.
        others: of the other.
    """
    if not all(math.isfinite(record.value) for record in (*ones, *others)):
        return math.nan, math.nan
    a, b = ({record.model.seed: record.value for record in part} for part in (ones, others))
    common = sorted(a.keys() & b.keys())
    if len(common) > 1 and (len(a), len(b)) == (len(ones), len(others)):
        return mean_over_trainings(np.subtract([a[seed] for seed in common], [b[seed] for seed in common]))
    if min(len(ones), len(others)) > 1:
        return between_trainings([r.value for r in ones], [r.value for r in others])
    if max(len(ones), len(others)) > 1:
        return math.nan, math.nan
    (low, high), (least, most) = ones[0].interval, others[0].interval
    return low - most, high - least


def compared_with(signs: Mapping[Place, Mark], against: Mapping[str, str]) -> list[str]:
    """What ▲ and ▼ mean below a table."""
    if not against:
        return []
    base = against_told(against)
    beyond = "beyond the 95 % interval of the difference or, of one model each, beyond both"
    if not signs:
        return [f"No number differs from that of {base} {beyond}."]
    return [f"▲ higher, ▼ lower than {base}, {beyond}; no sign: not so, or no interval."]


def against_told(against: Mapping[str, str]) -> str:
    """Such as "B", or "B (digits) and AT (MNIST)"."""
    names = {*against.values()}
    return names.pop() if len(names) == 1 else ", ".join(f"{name} ({data})" for data, name in against.items())

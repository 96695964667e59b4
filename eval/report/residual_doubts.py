"""Rules by which a residual estimator does not do what it is for: lead to a sample of another class."""

import math
from collections.abc import Iterable, Sequence

from eval.records import Quantity, Record
from eval.tables.cells import number
from eval.tables.rows import Row

SHARE, NORM = "residual_target_share", "residual_norm"
MOST = 0.5
"""Share of x + Δ̂x that should at least be of the class that they are meant to be of."""
SHORT = 0.5
"""Part of the way to the nearest example that a residual should at least go, where it leads to no other class."""
NEAREST = "nearest"
"""The estimator that returns the nearest example, as records call it."""
JUDGED = 0.9
"""Share of real samples of a class, which nearest examples are, that the judge should recognise."""


def leads_nowhere(records: Iterable[Record]) -> set[str]:
    """The subjects, each an estimator on samples, that clearly lead most samples not to the class they should.

    Of several judges one is enough: a residual that only a plain one follows is an attack on it.
    """
    return {r.subject.key for r in records if r.quantity.kind == SHARE and _high(r) < MOST}


def residual_doubts(rows: Sequence[Row]) -> list[str]:
    """A sentence for each estimator that leads most samples not to the class that they should be of.

    Args:
        rows: of estimators, with the row of the nearest example where there is one.
    """
    nearest = {row.data: _values(row, NORM) for row in rows if _estimator(row) == NEAREST}
    told = []
    for row in rows:
        lost = leads_nowhere(row.records)
        shares = [r for r in row.records if r.quantity.kind == SHARE and r.subject.key in lost and _high(r) < MOST]
        if shares and len(lost) == row.models:
            told.append(f"{row.data}, {row.recipe}: {_told(row, shares, nearest.get(row.data, []))}")
    return [*told, *(sentence for row in rows for sentence in _of_judge(row))]


def _of_judge(row: Row) -> list[str]:
    """What the nearest example, a real sample of the class, says of each judge."""
    if _estimator(row) != NEAREST:
        return []
    by_judge: dict[Quantity, list[Record]] = {}
    for record in row.records:
        if record.quantity.kind == SHARE:
            by_judge.setdefault(record.quantity, []).append(record)
    told = []
    for quantity, shares in by_judge.items():
        share = number(quantity, _mean([r.value for r in shares]))
        if _high(shares[0]) < JUDGED:
            told.append(
                f"{row.data}: the judge{_name(quantity)} recognises {share} % of nearest examples, real samples of "
                "the class, and no more."
            )
    return told


def _name(quantity: Quantity) -> str:
    """Of a judge that has one."""
    return f" {quantity.settings['judge']}" if "judge_digest" in quantity.settings else ""


def _told(row: Row, shares: Sequence[Record], nearest: Sequence[float]) -> str:
    share = f"{number(shares[0].quantity, _mean([r.value for r in shares]))} %"
    norms = _values(row, NORM)
    part = _mean(norms) / _mean(nearest) if norms and nearest and _mean(nearest) else 1.0
    if part >= SHORT:
        return (
            f"{share} of x + Δ̂x are of the class that they should be of: for the others, Δ̂x is not one to that class."
        )
    return (
        f"{share} of x + Δ̂x are of the class that they should be of, and Δ̂x is {part:.2f} times as long as that to "
        "the nearest example: it hardly moves the samples, so that it is not one to another class."
    )


def _estimator(row: Row) -> str:
    return str(row.records[0].subject.network.get("estimator", ""))


def _values(row: Row, kind: str) -> list[float]:
    return [record.value for record in row.records if record.quantity.kind == kind]


def _high(record: Record) -> float:
    """The upper end of its interval, or the value where there is none."""
    return record.value if math.isnan(record.interval[1]) else record.interval[1]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

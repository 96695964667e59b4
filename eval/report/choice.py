"""The setting that a rule chooses on the validation split: paper 1, section A.1."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from eval.records import Record, Records
from eval.records.quantity import SHARES
from eval.records.subject import CHOSEN_BY
from eval.report.fronts import LOWER, is_called
from eval.report.sweeps import Sweep, in_order, with_derived
from eval.studies.asked import asked
from eval.tables.cells import cell, deviation, number
from eval.tables.rows import Row, at_strengths, rows, subjects_of
from eval.tables.table import Table

ROUNDING = 1e-9
"""By which a loss of accuracy may seem to lie above what is allowed."""


@dataclass(frozen=True)
class Candidate:
    """A setting that may be chosen.

    Attributes:
        sweep: it belongs to.
        setting: in words.
        most: numbers of the measurement of which the most is wanted, one per model.
        of: numbers of the measurement that must not fall, one per model.
        allowed: whether it falls by no more than the rule allows.
    """

    sweep: str
    setting: str
    most: list[Record]
    of: list[Record]
    allowed: bool

    @property
    def value(self) -> float:
        """The mean by which it is chosen; more is better."""
        return _mean(self.most) * (-1 if self.most[0].quantity.kind in LOWER else 1)


def choice_table(records: Records) -> Table:
    """One row per setting with what the rule looks at, and which it chooses; empty where nothing is to be chosen."""
    lines, told = [], []
    for experiment, rule in asked(records.folder, "choose"):
        own = [r for r in records if CHOSEN_BY in r.model.groups and r.model.data == experiment]
        extra = subjects_of(one for record in own for one in at_strengths(record))
        found = [with_derived(row, extra) for row in rows(own)]
        against = [r for row in found for r in _of(row, rule["of"], rule["against"])]
        if not against:
            continue
        told.append(_rule(experiment, rule, against))
        for group in _groups(found):
            candidates = _candidates(group, rule, _mean(against))
            best = chosen(candidates)
            lines += [_line(group, one, against, one is best) for one in candidates]
            told += _why(group, candidates, best)
    return Table(pd.DataFrame(lines), [*dict.fromkeys(told)])


def chosen(candidates: Sequence[Candidate]) -> Candidate | None:
    """The most robust of those that are allowed; None where none is. NaN is never chosen."""
    able = [one for one in candidates if one.allowed and not math.isnan(one.value)]
    return max(able, key=lambda one: one.value, default=None)


def _sweeps(row: Row) -> list[tuple[str, ...]]:
    return [*dict.fromkeys(names for record in row.records for names in record.model.sweeps)]


def _groups(found: Sequence[Row]) -> list[Sweep]:
    """The settings of each sweep."""
    together: dict[tuple[str, str, tuple[str, ...]], list[Row]] = {}
    for row in found:
        for names in _sweeps(row):
            together.setdefault((row.data, row.records[0].model.recipe, names), []).append(row)
    return [Sweep(*key, in_order(members, key[2])) for key, members in together.items()]


def _of(row: Row, name: str, recipe: str | None = None) -> list[Record]:
    """The numbers of a measurement; those of another recipe are none."""
    return [r for r in row.records if is_called(r.quantity, name) and recipe in (None, r.model.recipe)]


def _candidates(group: Sweep, rule: Mapping[str, Any], against: float) -> list[Candidate]:
    found = []
    for row in group.rows:
        most, of = _of(row, rule["most"]), _of(row, rule["of"])
        if most and of:
            allowed = against - _mean(of) <= rule["within"] + ROUNDING
            found.append(Candidate(group.title, row.records[0].model.told(group.names), most, of, allowed))
    return found


def _line(group: Sweep, one: Candidate, against: Sequence[Record], best: bool) -> dict[str, str]:
    of = one.of[0].quantity
    return {
        "data": group.data,
        "sweep": one.sweep,
        "setting": one.setting,
        "models": str(len(one.most)),
        f"{of.title}, validation": cell(one.of),
        f"loss against {against[0].model.recipe}": number(of, _mean(against) - _mean(one.of)),
        f"{one.most[0].quantity.title}, validation": cell(one.most),
        "allowed": "yes" if one.allowed else "no",
        "chosen": "✓" if best else "",
    }


def _rule(experiment: str, rule: Mapping[str, Any], against: Sequence[Record]) -> str:
    of, within = against[0].quantity, float(rule["within"])
    return (
        f"{experiment}: on the validation split, the setting is chosen that has the most of {rule['most']} among "
        f"those that lose at most {number(of, within)}{' points' * (of.kind in SHARES)} of {of.title} against "
        f"{rule['against']}, which has "
        f"{cell(against)} (paper 1, section A.1)."
    )


def _why(group: Sweep, candidates: Sequence[Candidate], best: Candidate | None) -> list[str]:
    """What is chosen, and how far the next one lies behind."""
    if not candidates:
        return []
    if best is None:
        return [f"{group.data}, {group.title}: none is chosen, for every setting loses more than the rule allows."]
    said = f"{group.data}, {group.title}: {best.setting} is chosen, with {_value(best)}"
    left = [one for one in candidates if one is not best]
    if (second := chosen(left)) is None:
        return [f"{said}; no other setting is allowed."]
    return [f"{said}; next is {second.setting} with {_value(second)}{_closeness(best, second)}."]


def _closeness(best: Candidate, second: Candidate) -> str:
    """Whether the second might be the best: within the spread over seeds, or of one model over its samples."""
    spread = max(map(_deviation, (best, second)))
    low, high = best.most[0].interval
    if not math.isnan(spread):
        return ", which is within one deviation over seeds" if best.value - second.value <= spread else ""
    return ", which is within the first one's interval" if low <= second.most[0].value <= high else ""


def _value(one: Candidate) -> str:
    return f"{one.most[0].quantity.title} {cell(one.most)}"


def _deviation(one: Candidate) -> float:
    return deviation([record.value for record in one.most]) if len(one.most) > 1 else math.nan


def _mean(records: Sequence[Record]) -> float:
    return sum(record.value for record in records) / len(records)

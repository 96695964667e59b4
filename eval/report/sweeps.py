"""The models of sweeps, and those that were only measured: in groups, in a table, and as numbers to correlate."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations
from typing import Any

import pandas as pd

from eval.figures import FIGURE_KINDS
from eval.records import Model, Quantity, Record, Records
from eval.records.quantity import KINDS
from eval.records.subject import CHOSEN_BY, POOLED, SETTINGS
from eval.report import notes
from eval.report.worst import worst_of_all
from eval.tables.exact import exact_lines
from eval.tables.lines import cell_lines
from eval.tables.once import once
from eval.tables.rows import Row, at_strengths, column_titles, rows, subjects_of
from eval.tables.table import Table

MEASURED = "measure"
"""The group of models that no study trained."""
CORRELATED = 3
"""Models of any recipe from which on alignment and robustness are correlated over them."""
LARGEST, OF_MANY = 12, 4
"""Models, and sweeps, that have a picture of their own, at most, and where there are many records."""
MANY = 4000
"""Records of which most have no picture of their own; the numbers of all stand in the tables."""
TABLE_ONLY = ("masking",)
"""Kinds that stand in a table of their own."""


@dataclass(frozen=True)
class Sweep:
    """One recipe at several settings, or models that were only measured, all on the same samples.

    Attributes:
        data: what stands under "data".
        recipe: its name; empty where models were only measured.
        names: of the settings; none where models were only measured.
        rows: one per setting, in the order of its values; one per recipe and ε where models were only measured.
    """

    data: str
    recipe: str
    names: tuple[str, ...]
    rows: list[Row]

    @property
    def title(self) -> str:
        """Such as "P over ε"."""
        if not self.names:
            return "all models measured"
        return f"{self.recipe} over {' and '.join(SETTINGS.get(name, name) for name in self.names)}"

    @property
    def records(self) -> list[Record]:
        """All of its records."""
        return [record for row in self.rows for record in row.records]


@once
def sweeps(records: Records) -> list[Sweep]:
    """Every sweep of a study, one per recipe and settings; those on one data set are named by their experiments."""
    chosen = [r for r in records if r.model.swept and not {MEASURED, CHOSEN_BY} & {*r.model.groups} and _shown(r)]
    found: dict[tuple[str, str, tuple[str, ...]], list[Row]] = {}
    for data, row in _named(rows(chosen)):
        for names in dict.fromkeys(names for record in row.records for names in record.model.swept):
            members = [record for record in row.records if names in record.model.swept]
            key = (data, row.records[0].model.recipe, names)
            found.setdefault(key, []).append(replace(row, records=members))
    return [Sweep(*key, in_order(members, key[2])) for key, members in found.items()]


def by_data_and_settings(records: Records) -> dict[tuple[str, tuple[str, ...]], list[Sweep]]:
    """Sweeps over the same settings on the same data together, which share a picture."""
    found: dict[tuple[str, tuple[str, ...]], list[Sweep]] = {}
    for group in sweeps(records):
        found.setdefault((group.data, group.names), []).append(group)
    return found


@once
def pooled(records: Records) -> list[Sweep]:
    """Models of any recipe, where enough met the same samples: only measured, or those that a study pools."""
    found: dict[str, list[Row]] = {}
    seen: set[tuple[str, str]] = set()
    for row in rows(r for r in records if {MEASURED, POOLED} & {*r.model.groups} and _shown(r)):
        # The same weights under two names are one model.
        own = {key for record in row.records if (key := (row.data, record.subject.model_key)) not in seen}
        seen |= own
        if members := [r for r in row.records if (row.data, r.subject.model_key) in own]:
            found.setdefault(row.data, []).append(replace(row, records=members))
    groups = [Sweep(data, "", (), members) for data, members in found.items()]
    return [group for group in groups if sum(row.models for row in group.rows) >= CORRELATED]


def numbers(groups: Sequence[Sweep], lost: Collection[str] = frozenset()) -> tuple[pd.DataFrame, dict[str, Quantity]]:
    """What was measured of some sweeps: a row per number, and what stands behind each title.

    Args:
        groups: the sweeps.
        lost: subjects whose numbers say nothing, and become NaN.

    Returns:
        `data`, the number of the sweep; `recipe`; `setting`, the number of its row; `seed`, a number for each model
        of the row; `trained_at`, ε of its adversarial training, 0 without; `measurement`, `value`, and `low` and
        `high`, the ends of its interval. And the quantities by what stands under "measurement".
    """
    titled = column_titles(record for group in groups for record in group.records)
    found = []
    for place, group in enumerate(groups):
        for setting, row in enumerate(group.rows):
            models = {
                key: number for number, key in enumerate(dict.fromkeys(r.subject.model_key for r in row.records))
            }
            for r in row.records:
                value = math.nan if r.subject.key in lost else r.value
                whose = (place, r.model.recipe, setting, models[r.subject.model_key])
                found.append((*whose, number_of(r.model.epsilon) or 0.0, titled[r.quantity], value, *r.interval))
    columns = ["data", "recipe", "setting", "seed", "trained_at", "measurement", "value", "low", "high"]
    return pd.DataFrame(found, columns=columns), {title: quantity for quantity, title in titled.items()}


def sweep_table(records: Records) -> Table:
    """One row per sweep and setting with all measurements, mean ± deviation over seeds; empty without a sweep."""
    groups = sweeps(records)
    chosen = [record for group in groups for record in group.records]
    extra = derived(records, groups)
    of_subjects = subjects_of(extra)
    shown = [with_derived(row, of_subjects) for group in groups for row in group.rows]
    firsts = [_first(group, row) for group in groups for row in group.rows]
    cells, numbers = cell_lines(shown, [*chosen, *extra]), exact_lines(shown, [*chosen, *extra])
    found = [first | {"models": str(first["models"])} | line for first, line in zip(firsts, cells, strict=True)]
    exact = pd.DataFrame([first | line for first, line in zip(firsts, numbers, strict=True)])
    all_rows = [row for group in groups for row in group.rows]
    told = [*notes.of_intervals(all_rows, "setting"), *(sentence for group in groups for sentence in _equal(group))]
    told += left_out(records, len(groups), "sweeps")
    doubts = notes.doubts(all_rows)
    told = [*notes.facts(all_rows), *notes.settings(chosen), *told, *doubts]
    return Table(pd.DataFrame(found), told, doubts, exact)


def pictured(records: Records) -> int:
    """How many models, and how many sweeps, have a picture of their own."""
    return LARGEST if len(records) < MANY else OF_MANY


def left_out(records: Records, count: int, what: str) -> list[str]:
    """A sentence where not all of so many have a picture of their own."""
    most = pictured(records)
    if count <= most:
        return []
    alone = ", as SVG alone" if len(records) >= MANY else ""
    return [
        f"Pictures are drawn of the first {most} of {count} {what}{alone}; a report of fewer models shows others."
    ]


def _first(group: Sweep, row: Row) -> dict[str, Any]:
    """What names a row of the table."""
    setting = row.records[0].model.told(group.names)
    return {"data": group.data, "recipe": group.recipe, "setting": setting, "models": row.models}


def _equal(group: Sweep) -> list[str]:
    """A sentence for each two settings that trained the very same weights: they are no independent evidence."""
    weights = [{record.subject.weights for record in row.records} for row in group.rows]
    told = [row.records[0].model.told(group.names) for row in group.rows]
    return [
        f"{group.data}, {group.recipe}: {told[one]} and {told[other]} trained the very same weights."
        for one, other in combinations(range(len(told)), 2)
        if weights[one] & weights[other]
    ]


def axis_title(name: str) -> str:
    """What stands along an axis of a setting: ε is that of training there, and not that of an attack."""
    return f"training {SETTINGS[name]}" if name == "epsilon" else SETTINGS.get(name, name)


def in_order(found: Iterable[Row], names: Sequence[str]) -> list[Row]:
    """Rows by the values of settings: numbers first, then words."""
    return sorted(found, key=lambda row: place_of(row.records[0].model, names))


def place_of(model: Model, names: Sequence[str]) -> list[tuple[bool, float, str]]:
    """Where a model stands by the values of its settings: numbers first, then words."""
    written = [model.value_of(name) for name in names]
    found = [number_of(text) for text in written]
    return [(value is None, value or 0.0, text) for value, text in zip(found, written, strict=True)]


def derived(records: Records, groups: Iterable[Sweep]) -> list[Record]:
    """What follows from the records of sweeps: the worst of all attacks, and accuracies at chosen strengths."""
    chosen = [record for group in groups for record in group.records]
    return [*worst_of_all(records, chosen), *(one for record in chosen for one in at_strengths(record))]


def with_derived(row: Row, extra: Mapping[str, Sequence[Record]]) -> Row:
    """A row with what follows from its records: accuracies at chosen strengths, and the worst of all attacks.

    Args:
        row: of some models.
        extra: what follows from records, by the keys of their subjects.
    """
    own = dict.fromkeys(record.subject.key for record in row.records)
    derived = {(one.quantity, one.subject): one for key in own for one in extra.get(key, ())}
    return replace(row, records=[*row.records, *derived.values()])


def number_of(written: str) -> float | None:
    """A value of a setting as a number; None where it is none.

    Example:
        >>> number_of("8/255"), number_of("0.5"), number_of("none")
        (0.03137254901960784, 0.5, None)
    """
    try:
        return float(Fraction(written))
    except (ValueError, ZeroDivisionError):
        return None


def _shown(record: Record) -> bool:
    kind = record.quantity.kind
    return kind in KINDS and kind not in (*FIGURE_KINDS, *TABLE_ONLY)


def _named(found: Sequence[Row]) -> list[tuple[str, Row]]:
    """Each row with its data set, and with its experiment where several have a sweep on the same samples."""
    experiments: dict[str, set[str]] = {}
    for row in found:
        experiments.setdefault(row.data, set()).update(r.model.data for r in row.records)
    return [(_with_experiment(row) if len(experiments[row.data]) > 1 else row.data, row) for row in found]


def _with_experiment(row: Row) -> str:
    """The experiment's name, which most often says the data set, too."""
    experiment = row.records[0].model.data
    return experiment if experiment.startswith(row.data) else f"{row.data}, {experiment}"

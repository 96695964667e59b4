"""Fronts of two measurements: one line per sweep, and which has the larger area."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from eval.records import Quantity, Record, Records
from eval.report.sweeps import Sweep, sweeps, with_derived
from eval.report.worst import worst_of_all
from eval.studies.asked import asked
from eval.studies.fronts import area, difference
from eval.tables.cells import deviation, number
from eval.tables.rows import at_strengths
from eval.tables.table import Table

LOWER = ("tau50", "masking")
"""Kinds of which less is better."""


@dataclass(frozen=True)
class Front:
    """Two measurements of the models of a sweep.

    Attributes:
        title: of the sweep.
        recipe: of its models.
        points: one row per model: `setting`, `seed`, `x` and `y`, as measured.
    """

    title: str
    recipe: str
    points: pd.DataFrame

    def by_seed(self) -> list[np.ndarray]:
        """The points of each seed that all settings have."""
        counts = self.points.groupby("seed").setting.nunique()
        whole = counts[counts == self.points.setting.nunique()].index
        return [self.points[self.points.seed == seed][["x", "y"]].to_numpy() for seed in whole]

    def means(self) -> pd.DataFrame:
        """The mean of each setting, with the deviation over seeds."""
        grouped = self.points.groupby("setting", sort=False)
        return grouped[["x", "y"]].mean().join(grouped[["x", "y"]].std().add_suffix("_over"))


@dataclass(frozen=True)
class Fronts:
    """Fronts of the same two measurements on the same samples.

    Attributes:
        data: what stands under "data".
        x: the first quantity.
        y: the second.
        fronts: one per sweep.
        reference: the worst corner of the rectangle whose share is the area, in the units of x and y.
        best: its other corner, the best of each that any model has.
        stated: whether the reference was stated; else it is the worst of each that any model has.
    """

    data: str
    x: Quantity
    y: Quantity
    fronts: list[Front]
    reference: tuple[float, float]
    best: tuple[float, float]
    stated: bool

    @property
    def signs(self) -> np.ndarray:
        """−1 for what is better where it is less."""
        return np.array([-1.0 if quantity.kind in LOWER else 1.0 for quantity in (self.x, self.y)])

    def areas(self, front: Front) -> list[float]:
        """The area of each seed that all settings of a sweep have."""
        corners = [tuple(self.signs * corner) for corner in (self.reference, self.best)]
        return [area(points * self.signs, *corners) for points in front.by_seed()]


def all_fronts(records: Records) -> list[Fronts]:
    """Every front that the studies of the folder ask for, as far as its measurements are there."""
    groups = sweeps(records)
    chosen = [record for group in groups for record in group.records]
    extra = [*worst_of_all(records, chosen), *(one for record in chosen for one in at_strengths(record))]
    found: dict[tuple[str, str, str], Fronts] = {}
    for experiment, wanted in asked(records.folder, "fronts"):
        own = [group for group in groups if any(r.model.data == experiment for r in group.records)]
        for data in dict.fromkeys(group.data for group in own):
            drawn = fronts_of([group for group in own if group.data == data], extra, wanted)
            if drawn is not None:
                found[data, wanted["x"], wanted["y"]] = drawn
    return [*found.values()]


def fronts_of(groups: Sequence[Sweep], extra: Sequence[Record], wanted: Mapping[str, Any]) -> Fronts | None:
    """The front of two measurements over some sweeps on the same samples; None where nothing has both.

    Args:
        groups: the sweeps.
        extra: what follows from their records, see `with_derived`.
        wanted: names of the measurements `x` and `y`, and optionally the `reference` of the area.
    """
    found, quantities = [], {}  # type: ignore[var-annotated]
    for group in groups:
        lines = [line for row in group.rows for line in _points(group, with_derived(row, extra).records, wanted)]
        if lines:
            quantities |= {axis: line[axis].quantity for line in lines for axis in ("x", "y")}
            points = [line | {axis: line[axis].value for axis in ("x", "y")} for line in lines]
            found.append(Front(group.title, group.recipe, pd.DataFrame(points)))
    if not found:
        return None
    together = pd.concat([front.points for front in found])
    ends = {axis: _ends(together[axis], quantities[axis]) for axis in ("x", "y")}
    stated = wanted.get("reference")
    worst, best = ((ends["x"][i], ends["y"][i]) for i in (0, 1))
    reference = worst if stated is None else (float(stated[0]), float(stated[1]))
    return Fronts(groups[0].data, quantities["x"], quantities["y"], found, reference, best, stated is not None)


def is_called(quantity: Quantity, name: str) -> bool:
    """Whether a name means a quantity; accuracies under attack are read off a search, or are of the attack alone."""
    return quantity.name in (name, f"robust_{name}")


def _points(group: Sweep, records: Sequence[Record], wanted: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The models of one setting that have both measurements, each by one quantity alone."""
    by_model: dict[str, list[Record]] = {}
    for record in records:
        by_model.setdefault(record.subject.key, []).append(record)
    for own in by_model.values():
        both = {axis: [r for r in own if is_called(r.quantity, wanted[axis])] for axis in ("x", "y")}
        if all(len(hits) == 1 and math.isfinite(hits[0].value) for hits in both.values()):
            model = own[0].model
            told = ", ".join(model.value_of(name) for name in group.names)
            yield {"setting": told, "seed": model.seed} | {axis: hits[0] for axis, hits in both.items()}


def _ends(values: "pd.Series[float]", quantity: Quantity) -> tuple[float, float]:
    """The worst and the best."""
    low, high = float(values.min()), float(values.max())
    return (high, low) if quantity.kind in LOWER else (low, high)


def front_table(records: Records) -> Table:
    """One row per front with its area, and a sentence on which is better; empty without fronts."""
    lines, told = [], []
    for fronts in all_fronts(records):
        areas = {front.title: fronts.areas(front) for front in fronts.fronts}
        lines += [
            {
                "data": fronts.data,
                "of": f"{fronts.y.title} against {fronts.x.title}",
                "sweep": front.title,
                "settings": str(front.points.setting.nunique()),
                "seeds": str(len(areas[front.title])),
                "area": _mean(areas[front.title]),
            }
            for front in fronts.fronts
        ]
        told += [_meaning(fronts), verdict(areas, f"{fronts.data}, {fronts.y.title} against {fronts.x.title}")]
    told += _missing(records)
    return Table(pd.DataFrame(lines), [note for note in dict.fromkeys(told) if note])


def _missing(records: Records) -> list[str]:
    """A sentence for each front that is asked for, and that no sweep has the measurements of."""
    names = {one.quantity.name.removeprefix("robust_") for r in records for one in (r, *at_strengths(r))}
    return [
        f"{experiment}: a front is asked for of {wanted['y']} against {wanted['x']}, and {name} was not measured."
        for experiment, wanted in asked(records.folder, "fronts")
        for name in (wanted["x"], wanted["y"])
        if name.removeprefix("robust_") not in names
    ]


def verdict(areas: Mapping[str, Sequence[float]], where: str) -> str:
    """Which front has the largest area, how much larger it is than the next, and whether seeds decide it."""
    known = {title: [*found] for title, found in areas.items() if found and not np.isnan(found).any()}
    if len(known) < 2:
        return ""
    first, second, *_ = sorted(known, key=lambda title: -float(np.mean(known[title])))
    found = difference(known[first], known[second])
    against = f"an area of {np.mean(known[first]):.3f} against {np.mean(known[second]):.3f} of {second}"
    low, high = found.interval
    if found.decided is None:
        return f"{where}: {first} is ahead with {against}; of too few seeds for an interval."
    interval = f"difference {found.value:.3f} [{low:.3f}, {high:.3f}] over seeds"
    if not found.decided:
        return f"{where}: undecided; {first} has {against}, {interval}."
    return f"{where}: {first} is better, with {against}, {interval}."


def _meaning(fronts: Fronts) -> str:
    """What the area is of."""
    axes = (fronts.x, fronts.y)
    worst, best = (
        ", ".join(f"{quantity.title} {number(quantity, value)}" for quantity, value in zip(axes, corner, strict=True))
        for corner in (fronts.reference, fronts.best)
    )
    which = "the stated reference" if fronts.stated else "the worst of any model"
    return (
        f"{fronts.data}: area is the share of the rectangle from {which} ({worst}) to the best of any model ({best}) "
        "in which a front is at least as good in both; seed by seed, mean ± deviation."
    )


def _mean(areas: Sequence[float]) -> str:
    if not areas or any(map(math.isnan, areas)):
        return "–"
    return f"{np.mean(areas):.3f}" + (f" ± {deviation(areas):.3f}" if len(areas) > 1 else "")

"""Fronts of two measurements: one line per sweep, each with its area."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from eval.records import Quantity, Record, Records
from eval.report.chance import at_chance
from eval.report.sweeps import Sweep, derived, sweeps, with_derived
from eval.studies.asked import asked
from eval.studies.fronts import area
from eval.tables.once import once
from eval.tables.rows import subjects_of

LOWER = ("tau50", "masking")
"""Kinds of which less is better."""
AXES = ("x", "y")


@dataclass(frozen=True)
class Front:
    """Two measurements of the models of a sweep.

    Attributes:
        title: of the sweep.
        recipe: of its models.
        points: one row per model: `setting`, `seed`, `x` and `y`, as measured, and their records `x_of` and `y_of`.
        beyond: how many models more have a number that is infinite, which no area holds.
    """

    title: str
    recipe: str
    points: pd.DataFrame
    beyond: int = 0

    @property
    def seeds(self) -> list[int]:
        """Those that all settings have."""
        counts = self.points.groupby("seed").setting.nunique()
        return [*counts[counts == self.points.setting.nunique()].index]

    def of_seed(self, seed: int) -> pd.DataFrame:
        """The points of one seed."""
        return self.points[self.points.seed == seed]

    def means(self) -> pd.DataFrame:
        """The mean of each setting, with the deviation over seeds."""
        grouped = self.points.groupby("setting", sort=False)[["x", "y"]]
        return grouped.mean().join(grouped.std().add_suffix("_over"))


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
        lost: for each sweep, how many of how many models are near chance and left out.
    """

    data: str
    x: Quantity
    y: Quantity
    fronts: list[Front]
    reference: tuple[float, float]
    best: tuple[float, float]
    stated: bool
    lost: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def signs(self) -> np.ndarray:
        """−1 for what is better where it is less."""
        return np.array([-1.0 if quantity.kind in LOWER else 1.0 for quantity in (self.x, self.y)])

    @property
    def title(self) -> str:
        """The two measurements, as they stand in tables."""
        return f"{self.y.title} against {self.x.title}"

    def area(self, points: np.ndarray) -> float:
        """The share of the rectangle in which some points, `(n, 2)`, are at least as good in both."""
        worst, best = (self.signs * corner for corner in (self.reference, self.best))
        return area(points * self.signs, worst.tolist(), best.tolist())

    def areas(self, front: Front) -> list[float]:
        """The area of each seed that all settings of a sweep have."""
        return [self.area_of_seed(front, seed) for seed in front.seeds]

    def area_of_seed(self, front: Front, seed: int) -> float:
        """The area of the models of one seed."""
        return self.area(front.of_seed(seed)[[*AXES]].to_numpy())


@once
def all_fronts(records: Records) -> list[Fronts]:
    """Every front that the studies of the folder ask for, as far as its measurements are there."""
    groups = sweeps(records)
    return drawn(groups, derived(records, groups), asked(records.folder, "fronts"), at_chance(records))


def drawn(
    groups: Sequence[Sweep],
    extra: Sequence[Record],
    wanted: Iterable[tuple[str, Mapping[str, Any]]],
    lost: Collection[str] = frozenset(),
) -> list[Fronts]:
    """Fronts of the sweeps of some experiments.

    Args:
        groups: all sweeps.
        extra: what follows from their records, see `eval.report.sweeps.derived`.
        wanted: names of experiments, each with what `fronts_of` takes.
        lost: subjects that are near chance, which are left out.
    """
    found: dict[tuple[str, str, str], Fronts] = {}
    for experiment, asks in wanted:
        own = [group for group in groups if any(r.model.data == experiment for r in group.records)]
        for data in dict.fromkeys(group.data for group in own):
            fronts = fronts_of([group for group in own if group.data == data], extra, asks, lost)
            if fronts is not None:
                found[data, asks["x"], asks["y"]] = fronts
    return [*found.values()]


def fronts_of(
    groups: Sequence[Sweep], extra: Sequence[Record], wanted: Mapping[str, Any], lost: Collection[str] = frozenset()
) -> Fronts | None:
    """The front of two measurements over some sweeps on the same samples; None where nothing has both.

    Args:
        groups: the sweeps.
        extra: what follows from their records.
        wanted: names of the measurements `x` and `y`, and optionally the `reference` of the area.
        lost: subjects that are near chance, which are left out.
    """
    of_subjects = subjects_of(extra)
    found, quantities, left_out = [], {}, {}  # type: ignore[var-annotated]
    for group in groups:
        lines = [
            line for row in group.rows for line in _points(group, with_derived(row, of_subjects).records, wanted)
        ]
        able = [line for line in lines if line["x_of"].subject.key not in lost]
        kept = [line for line in able if all(math.isfinite(line[axis]) for axis in AXES)]
        left_out[group.title] = (len(lines) - len(able), len(lines))
        if kept:
            quantities |= {axis: line[f"{axis}_of"].quantity for line in kept for axis in AXES}
            found.append(Front(group.title, group.recipe, pd.DataFrame(kept), len(able) - len(kept)))
    if not found:
        return None
    axes, stated = (quantities["x"], quantities["y"]), wanted.get("reference")
    worst, best = _corners(pd.concat([front.points for front in found]), axes)
    reference = worst if stated is None else (float(stated[0]), float(stated[1]))
    return Fronts(groups[0].data, *axes, found, reference, best, stated is not None, left_out)


def is_called(quantity: Quantity, name: str) -> bool:
    """Whether a name means a quantity; accuracies under attack are read off a search, or are of the attack alone."""
    return without_robust(quantity.name) == without_robust(name)


def without_robust(name: str) -> str:
    """The name of a measurement, whichever of the two it is read from."""
    return name.removeprefix("robust_")


def _points(group: Sweep, records: Sequence[Record], wanted: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The models of one setting that have both measurements, each by one quantity alone."""
    by_model: dict[str, list[Record]] = {}
    for record in records:
        by_model.setdefault(record.subject.key, []).append(record)
    for own in by_model.values():
        both = {axis: [r for r in own if is_called(r.quantity, wanted[axis])] for axis in AXES}
        if all(len(hits) == 1 and not math.isnan(hits[0].value) for hits in both.values()):
            model, of = own[0].model, {f"{axis}_of": hits[0] for axis, hits in both.items()}
            told = ", ".join(model.value_of(name) for name in group.names)
            values = {axis: of[f"{axis}_of"].value for axis in AXES}
            yield {"setting": told, "seed": model.seed} | values | of


def _corners(
    points: pd.DataFrame, axes: tuple[Quantity, Quantity]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The worst of both measurements, and the best."""
    ends = [(float(points[axis].min()), float(points[axis].max())) for axis in AXES]
    (x, x_best), (y, y_best) = (pair[::-1] if of.kind in LOWER else pair for pair, of in zip(ends, axes, strict=True))
    return (x, y), (x_best, y_best)

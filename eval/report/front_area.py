"""Two fronts by area: seed by seed, or over samples where there is one training at each setting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eval.records import Records
from eval.report.chosen_numbers import PerSample, Shown, per_sample, setting
from eval.report.differences import Interval, mean_over_trainings, over_samples
from eval.report.fronts import LOWER
from eval.studies.fronts import area

LEAST = 2
"""Settings that a front needs."""
Corners = tuple[list[float], list[float]]
"""The worst and the best corner of the rectangle whose share is the area."""


@dataclass(frozen=True)
class Point:
    """One training at one setting: what stands on each axis."""

    x: Shown
    y: Shown

    @property
    def signs(self) -> np.ndarray:
        """−1 for what is better where it is less."""
        kinds = (shown.record.quantity.kind for shown in (self.x, self.y))
        return np.array([-1.0 if kind in LOWER else 1.0 for kind in kinds])

    @property
    def place(self) -> np.ndarray:
        """Where more is better on both axes."""
        return self.signs * [self.x.record.value, self.y.record.value]


@dataclass(frozen=True)
class FrontDifference:
    """Two areas as shares of the rectangle around all points, and how sure their difference is."""

    areas: tuple[float, float]
    interval: Interval
    how: str


Front = Mapping[str, Mapping[int, Point]]
"""Points by setting and seed."""


def front_of(xs: Sequence[Shown], ys: Sequence[Shown]) -> Front:
    """The points of one recipe: what was measured on one model makes a pair."""
    of_model = {one.record.subject.key: one for one in ys}
    found: dict[str, dict[int, Point]] = {}
    for x in xs:
        y = of_model.get(x.record.subject.key)
        if y is not None:
            found.setdefault(setting(x.record), {})[x.record.model.seed] = Point(x, y)
    return found


def compared(
    records: Records, one: Front, other: Front, reference: Sequence[float | int] | None = None
) -> FrontDifference | None:
    """The difference of two areas over seeds, or over samples where there is one; None if nothing can be compared.

    Seeds that some setting lacks are left out.

    Args:
        records: that the points are from.
        one: the first front.
        other: the second.
        reference: the worst corner, in the units of x and y; by default the worst of each that any point has.
    """
    if min(len(one), len(other)) < LEAST:
        return None
    seeds = sorted(set.intersection(*(set(points) for front in (one, other) for points in front.values())))
    if not seeds:
        return None
    fronts = [[[points[seed] for points in front.values()] for seed in seeds] for front in (one, other)]
    corners = _corners(fronts, reference)
    areas = np.array([[area(_places(points), *corners) for points in front] for front in fronts])
    if not np.isfinite(areas).all():
        return None
    means = (float(areas[0].mean()), float(areas[1].mean()))
    if len(seeds) > 1:
        return FrontDifference(means, mean_over_trainings(areas[0] - areas[1]), f"paired over {len(seeds)} seeds")
    interval, count = _over_samples(records, [front[0] for front in fronts], corners)
    return FrontDifference(means, interval, f"one training at each setting, so over {count} samples alone")


def _corners(fronts: Sequence[Sequence[Sequence[Point]]], reference: Sequence[float | int] | None) -> Corners:
    points = [point for front in fronts for of_seed in front for point in of_seed]
    places = _places(points)
    worst = places.min(axis=0) if reference is None else points[0].signs * np.asarray(reference, dtype=float)
    return worst.tolist(), places.max(axis=0).tolist()


def _places(points: Sequence[Point]) -> np.ndarray:
    return np.array([point.place for point in points])


def _over_samples(records: Records, fronts: Sequence[Sequence[Point]], corners: Corners) -> tuple[Interval, int]:
    """The interval of the difference of areas where all points stand on the same samples, and how many those are."""
    tried = [[(point, _outcomes(records, point)) for point in front] for front in fronts]
    found = [[(point, axes) for point, axes in front if axes is not None] for front in tried]
    if [len(front) for front in found] != [len(front) for front in tried]:
        return (float("nan"), float("nan")), 0
    indices = [set(axis.outcomes.index) for front in found for _, axes in front for axis in axes]
    common = sorted(set.intersection(*indices))
    tables = [
        [
            (point.signs, [(axis.statistic, axis.outcomes.loc[common].to_numpy()) for axis in axes])
            for point, axes in front
        ]
        for front in found
    ]

    def difference(drawn: np.ndarray) -> float:
        places = [
            np.array([signs * [statistic(values[drawn]) for statistic, values in axes] for signs, axes in front])
            for front in tables
        ]
        ours, theirs = (area(front, *corners) for front in places)
        return ours - theirs

    return over_samples(difference, len(common)), len(common)


def _outcomes(records: Records, point: Point) -> tuple[PerSample, PerSample] | None:
    x, y = per_sample(records, point.x), per_sample(records, point.y)
    return None if x is None or y is None else (x, y)

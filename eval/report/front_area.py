"""Two fronts by the area that they dominate: the hypervolume indicator of Zitzler and Thiele 1998, in the plane."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from eval.records import Records
from eval.report.chosen_numbers import PerSample, Shown, per_sample, setting
from eval.report.differences import Interval, mean_over_trainings, over_samples

LOWER_IS_BETTER = ("tau50", "mu")
"""Kinds of which less is better."""
LEAST = 2
"""Settings that a front needs."""
BELOW = 0.1
"""How far below all points the reference lies, as a part of what they span, so that the ends of fronts count too."""


@dataclass(frozen=True)
class Point:
    """One training at one setting: what stands on each axis."""

    x: Shown
    y: Shown


@dataclass(frozen=True)
class FrontDifference:
    """Two areas as shares of the box around all points, and how sure their difference is."""

    areas: tuple[float, float]
    interval: Interval
    how: str


Front = Mapping[str, Mapping[int, Point]]
"""Points by setting and seed."""


def area(points: Float[np.ndarray, "K 2"], reference: Float[np.ndarray, " 2"]) -> float:
    """The area of all that some point exceeds in both coordinates, above a reference.

    Example:
        >>> area(np.array([[1.0, 3.0], [2.0, 1.0], [0.5, 0.5]]), np.zeros(2))
        4.0
    """
    found, top = 0.0, 0.0
    for x, y in sorted(np.maximum(points - reference, 0), key=lambda point: -point[0]):
        found += float(x * max(y - top, 0))
        top = max(top, float(y))
    return found


def front_of(xs: Sequence[Shown], ys: Sequence[Shown]) -> Front:
    """The points of one recipe: what was measured on one model makes a pair."""
    of_model = {one.record.subject.key: one for one in ys}
    found: dict[str, dict[int, Point]] = {}
    for x in xs:
        y = of_model.get(x.record.subject.key)
        if y is not None:
            found.setdefault(setting(x.record), {})[x.record.model.seed] = Point(x, y)
    return found


def compared(records: Records, one: Front, other: Front) -> FrontDifference | None:
    """The difference of two areas: over seeds, or over samples where there is one; None if a front has no settings.

    Seeds that some setting lacks are left out.
    """
    if min(len(one), len(other)) < LEAST:
        return None
    seeds = sorted(set.intersection(*(set(found) for front in (one, other) for found in front.values())))
    if not seeds:
        return None
    points = [np.array([[_coordinates(found[seed]) for found in front.values()] for seed in seeds])
              for front in (one, other)]  # fmt: skip
    everything = np.concatenate([part.reshape(-1, 2) for part in points])
    if not np.isfinite(everything).all():
        return None
    low, high = everything.min(axis=0), everything.max(axis=0)
    low = low - BELOW * (high - low)
    box = float(np.prod(high - low)) or 1.0
    areas = np.array([[area(of_seed, low) / box for of_seed in part] for part in points])
    means = (float(areas[0].mean()), float(areas[1].mean()))
    if len(seeds) > 1:
        return FrontDifference(means, mean_over_trainings(areas[0] - areas[1]), f"paired over {len(seeds)} seeds")
    parts = [[_samples(records, found[seeds[0]]) for found in front.values()] for front in (one, other)]
    interval, count = _over_samples(parts, low, box)
    return FrontDifference(means, interval, f"one training at each setting, so over {count} samples alone")


def _coordinates(point: Point) -> tuple[float, float]:
    return _better(point.x, point.x.record.value), _better(point.y, point.y.record.value)


def _better(shown: Shown, value: float) -> float:
    return -value if shown.record.quantity.kind in LOWER_IS_BETTER else value


def _samples(records: Records, point: Point) -> tuple[tuple[Shown, PerSample | None], ...]:
    return tuple((shown, per_sample(records, shown)) for shown in (point.x, point.y))


def _over_samples(
    fronts: Sequence[Sequence[tuple[tuple[Shown, PerSample | None], ...]]], low: np.ndarray, box: float
) -> tuple[Interval, int]:
    """The interval of the difference of areas where all points stand on the same samples."""
    found = [part for front in fronts for point in front for _, part in point]
    parts = [part for part in found if part is not None]
    if len(parts) < len(found):
        return (float("nan"), float("nan")), 0
    common = sorted(set.intersection(*(set(part.outcomes.index) for part in parts)))
    tables = [[[(s, p.outcomes.loc[common].to_numpy(), p.statistic) for s, p in point if p is not None]
               for point in front] for front in fronts]  # fmt: skip

    def difference(drawn: np.ndarray) -> float:
        areas = [
            area(np.array([[_better(s, statistic(v[drawn])) for s, v, statistic in point] for point in front]), low)
            for front in tables
        ]
        return (areas[0] - areas[1]) / box

    return over_samples(difference, len(common)), len(common)

"""Two fronts by area: seed by seed, or over samples where there is one training at each setting."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from eval.records import Records
from eval.records.intervals import UNSURE, Interval
from eval.report.chosen_numbers import PerSample, Shown, all_shown, per_sample
from eval.report.differences import between_trainings, mean_over_trainings, over_samples
from eval.report.fronts import AXES, Front, Fronts
from eval.report.sentences import of_areas

LEAST = 2
"""Settings that a front needs to be compared."""


@dataclass(frozen=True)
class FrontDifference:
    """Two areas as shares of the rectangle around all points, and how sure their difference is."""

    areas: tuple[float, float]
    interval: Interval
    how: str

    @property
    def told(self) -> str:
        """The difference, its interval and what it rests on."""
        return f"{of_areas(self.areas[0] - self.areas[1], self.interval)}, {self.how}"


def compared(records: Records, fronts: Fronts, one: Front, other: Front) -> FrontDifference | None:
    """The difference of the areas of two fronts; the one source of what is said beside the table and in findings.

    Args:
        records: that the points are from.
        fronts: both fronts, with the rectangle.
        one: the first.
        other: the second.

    Returns:
        It, over seeds, of those that both have where these are several, or over samples where each has one; without
        an interval where a front lacks models beyond everything that was tried; None where a front has no area, or
        one setting alone.
    """
    areas = [fronts.areas(front) for front in (one, other)]
    settings = [front.points.setting.nunique() for front in (one, other)]
    if min(settings) < LEAST or not all(areas) or not np.isfinite(np.concatenate(areas)).all():
        return None
    common = [seed for seed in one.seeds if seed in other.seeds]
    if len(common) > 1:
        areas = [[fronts.area_of_seed(front, seed) for seed in common] for front in (one, other)]
    a, b = areas
    means = (float(np.mean(a)), float(np.mean(b)))
    if beyond := one.beyond + other.beyond:
        return FrontDifference(means, UNSURE, f"without {beyond} models above everything that was tried")
    if len(common) > 1:
        return FrontDifference(means, mean_over_trainings(np.subtract(a, b)), f"paired over {len(a)} seeds")
    if min(len(a), len(b)) > 1:
        return FrontDifference(means, between_trainings(a, b), f"over {len(a)} and {len(b)} seeds")
    if max(len(a), len(b)) > 1:
        return FrontDifference(means, UNSURE, f"over {len(a)} and {len(b)} seeds")
    interval, count = _over_samples(records, fronts, [front.of_seed(front.seeds[0]) for front in (one, other)])
    how = f"so over {count} samples alone" if count else "and nothing recorded sample by sample"
    return FrontDifference(means, interval, f"one training at each setting, {how}")


def _over_samples(records: Records, fronts: Fronts, points: Sequence[pd.DataFrame]) -> tuple[Interval, int]:
    """The interval of the difference of areas where all points stand on the same samples, and how many those are."""
    written = {shown.record.key: shown for shown in all_shown(records)}
    found = [_outcomes(records, of_front, written) for of_front in points]
    outcomes = [axis for of_front in found for point in of_front for axis in point]
    if any(axis is None for axis in outcomes):
        return UNSURE, 0
    common = sorted(set.intersection(*(set(axis.outcomes.index) for axis in outcomes if axis)))
    tables = [[[_drawable(axis, common) for axis in point if axis] for point in of_front] for of_front in found]

    def difference(drawn: np.ndarray) -> float:
        ours, theirs = (
            fronts.area(np.array([[statistic(values[drawn]) for statistic, values in point] for point in of_front]))
            for of_front in tables
        )
        return ours - theirs

    return over_samples(difference, len(common)) if common else UNSURE, len(common)


def _outcomes(
    records: Records, points: pd.DataFrame, written: Mapping[str, Shown]
) -> list[tuple[PerSample | None, ...]]:
    """What the numbers of each point are statistics of."""
    shown = [[written.get(record.key) for record in points[f"{axis}_of"]] for axis in AXES]
    return [tuple(per_sample(records, one) if one else None for one in point) for point in zip(*shown, strict=True)]


def _drawable(axis: PerSample, common: Sequence[int]) -> tuple[Any, ...]:
    return axis.statistic, axis.outcomes.loc[common].to_numpy()


def mean_area(areas: Sequence[float]) -> float:
    """NaN where there is none."""
    return float(np.mean(areas)) if areas else math.nan

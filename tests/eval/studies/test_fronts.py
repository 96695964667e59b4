"""Fronts and the area below them, against areas that are known."""

import math

import numpy as np
import pytest

from eval.studies.fronts import area, non_dominated


def covered(points: np.ndarray, side: int = 400) -> float:
    """The share of the unit square's cells in which a point is at least as good in both, counted."""
    ends = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(ends, ends)
    inside = [(px >= x) & (py >= y) for px, py in points]
    return float(np.logical_or.reduce(inside).mean())


@pytest.mark.parametrize("seed", range(5))
def test_area_is_the_share_of_the_rectangle_that_is_covered(seed: int) -> None:
    points = np.random.default_rng(seed).uniform(size=(6, 2))
    scaled = points * [10, 0.5] + [3, -2]
    assert area(scaled, (3, -2), (13, -1.5)) == pytest.approx(covered(points), abs=0.01)


def test_dominated_points_add_nothing_and_the_order_does_not_matter() -> None:
    points = np.random.default_rng(0).uniform(size=(8, 2))
    whole = area(points, (0, 0), (1, 1))
    assert area(points[non_dominated(points)], (0, 0), (1, 1)) == pytest.approx(whole)
    assert area(points[::-1], (0, 0), (1, 1)) == pytest.approx(whole)


def test_points_below_the_reference_count_nothing_and_those_beyond_the_best_no_more_than_it() -> None:
    assert area(np.array([[-1.0, 0.5]]), (0, 0), (1, 1)) == 0
    assert area(np.array([[5.0, 0.5]]), (0, 0), (1, 1)) == 0.5


def test_without_points_or_a_rectangle_there_is_no_area() -> None:
    assert math.isnan(area(np.empty((0, 2)), (0, 0), (1, 1)))
    assert math.isnan(area(np.array([[1.0, 1.0]]), (0, 0), (0, 1)))


def test_equal_points_are_all_on_the_front() -> None:
    assert non_dominated(np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0]])).tolist() == [True, True, False]

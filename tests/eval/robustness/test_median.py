import math

import numpy as np
import pandas as pd
import pytest
import torch

from eval.robustness.median import median, median_interval
from eval.robustness.radii import Radii

INF = math.inf


def test_median_of_an_even_number_lies_in_the_middle() -> None:
    assert median(torch.tensor([4.0, 1.0, 2.0, 3.0])) == 2.5
    assert median(torch.tensor([1.0, INF])) == INF
    assert median(torch.tensor([0.0, INF, INF])) == INF


@pytest.mark.parametrize(
    ("count", "level", "ranks"),
    # From the table of Conover: of 6 the ends, of 20 the 6th and 15th, of 100 the 40th and 61st.
    [
        (6, 0.95, (1, 6)),
        (8, 0.95, (1, 8)),
        (9, 0.95, (2, 8)),
        (20, 0.95, (6, 15)),
        (100, 0.95, (40, 61)),
        (5, 0.9, (1, 5)),
    ],
)
def test_ends_are_the_order_statistics_of_the_tables(count: int, level: float, ranks: tuple[int, int]) -> None:
    values = torch.randperm(count) + 1.0
    assert median_interval(values, values, level) == ranks


@pytest.mark.parametrize("count", [1, 2, 5])
def test_too_few_samples_say_nothing(count: int) -> None:
    assert median_interval(np.ones(count), np.ones(count)) == (0.0, INF)


@pytest.mark.parametrize("count", [6, 41, *(pytest.param(count, marks=pytest.mark.slow) for count in (7, 20, 100))])
@pytest.mark.parametrize("level", [0.95, *(pytest.param(level, marks=pytest.mark.slow) for level in (0.8, 0.99))])
def test_interval_holds_the_median_at_least_as_often_as_it_says(count: int, level: float) -> None:
    trials, random = 2000, np.random.default_rng(count)
    held = 0
    for _ in range(trials):
        values = random.exponential(size=count)
        low, high = median_interval(values, values, level)
        held += low <= math.log(2) <= high
    # Three standard errors of the simulation below the level.
    assert held / trials >= level - 3 * math.sqrt(level * (1 - level) / trials)


def test_interval_is_hardly_wider_than_it_must_be() -> None:
    values = np.sort(np.random.default_rng(0).exponential(size=1000))
    low, high = (int(np.searchsorted(values, end)) for end in median_interval(values, values))
    assert abs(low - (500 - 31)) <= 1
    assert abs(high - (500 + 31)) <= 1


def test_open_brackets_widen_the_interval() -> None:
    radii = np.arange(1.0, 21)
    closed = median_interval(radii, radii)
    low, high = median_interval(0.9 * radii, 1.1 * radii)
    assert (low, high) == pytest.approx((0.9 * closed[0], 1.1 * closed[1]))


def test_bracket_whose_ends_contradict_each_other_counts_with_the_smaller() -> None:
    upper = np.arange(1.0, 21)
    lower = upper.copy()
    lower[0] = 30.0
    assert median_interval(lower, upper) == median_interval(upper, upper)


def test_samples_that_are_wrong_or_never_fooled_have_their_place() -> None:
    lower, upper = [0.0] * 10 + [2.0] * 10, [0.0] * 10 + [INF] * 10
    assert median_interval(lower, upper) == (0.0, INF)
    assert median_interval([0.0] * 20, [0.0] * 20) == (0.0, 0.0)
    assert median_interval([2.0] * 20, [INF] * 20) == (2.0, INF)


def test_columns_of_a_table_and_tensors_say_the_same(tmp_path) -> None:  # type: ignore[no-untyped-def]
    upper = torch.rand(30, dtype=torch.float64)
    upper[3], lower = INF, upper * 0.9
    lower[3] = 1.0
    pd.DataFrame({"radius": upper, "failed_at": lower}).to_csv(tmp_path / "radii.csv")
    table = pd.read_csv(tmp_path / "radii.csv")
    radii = Radii(lower, upper, 1.0, 0.01, "all", 0, 1, 0, 0.0)
    assert radii.interval(0.9) == median_interval(table.failed_at, table.radius, 0.9)
    low, high = radii.interval()
    assert low < radii.epsilon50 < high


@pytest.mark.parametrize(
    ("lower", "upper", "level", "message"),
    [
        ([1.0], [1.0], 1.0, r"`level` should lie in \(0, 1\). Found 1.0"),
        ([1.0], [1.0], math.nan, r"`level` should lie in \(0, 1\). Found nan"),
        ([], [], 0.95, r"`lower` should hold one number per sample, at least one. Found shape \(0,\)"),
        ([[1.0]], [1.0], 0.95, r"`lower` should hold one number per sample, at least one. Found shape \(1, 1\)"),
        ([1.0, 2.0], [1.0], 0.95, r"`lower` should have the shape of `upper`, \(1,\). Found \(2,\)"),
        ([1.0], [math.nan], 0.95, "`upper` should be at least 0. Found nan"),
        ([-1.0], [1.0], 0.95, "`lower` should be at least 0. Found -1.0"),
    ],
)
def test_what_is_no_bracket_is_refused(lower: list, upper: list, level: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        median_interval(lower, upper, level)

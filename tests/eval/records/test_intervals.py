import numpy as np
import pytest
from scipy import stats

from eval.records.intervals import mean_interval, median_interval, share_interval


def test_share_interval_is_scipys() -> None:
    low, high = share_interval(30, 40)
    assert low < 0.75 < high
    assert np.isnan(share_interval(0, 0)).all()
    assert share_interval(0, 10)[0] == 0


def test_mean_interval_is_about_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(1).normal(3, 2, size=400)
    low, high = mean_interval(values)
    known = stats.norm.interval(0.95, values.mean(), values.std() / 20)
    assert (low, high) == pytest.approx(known, abs=0.03)
    assert np.isnan(mean_interval(np.array([1.0]))).all()


@pytest.mark.parametrize("count", [6, 25, 100])
def test_median_interval_covers_the_median_whatever_the_distribution(count: int) -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        values = rng.exponential(size=count)
        low, high = median_interval(values, values)
        hits += low <= np.log(2) <= high
    assert 0.945 <= hits / 2000 <= (0.99 if count > 6 else 1)


def test_few_values_have_an_interval_without_end() -> None:
    assert median_interval(np.ones(4), np.ones(4)) == (0.0, float("inf"))


def test_open_brackets_widen_the_interval() -> None:
    upper = np.arange(1.0, 51)
    closed, opened = median_interval(upper, upper), median_interval(upper - 0.5, upper)
    assert opened == (closed[0] - 0.5, closed[1])

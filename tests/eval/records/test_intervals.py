import numpy as np
import pytest
from scipy import stats

from eval.records.intervals import mean_interval, share_interval


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

"""Do models with better aligned gradients withstand more? Paper 1, Table 4, with intervals."""

import warnings
from collections.abc import Callable
from itertools import product

import numpy as np
import pandas as pd
from scipy import stats

METRICS = ("alpha_dx", "alpha_x")
COLUMNS = ("data", "metric", "robustness", "statistic", "value", "low", "high", "models", "left_out")


def correlations(frame: pd.DataFrame, *, group: str = "sweep", resamples: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Pearson and Spearman correlation of each alignment metric with each ε50%, over the models of a sweep.

    Intervals are 95 % percentile bootstrap intervals over models. Models whose ε50% or alignment is not finite
    are left out and counted.

    Args:
        frame: records as `eval.records.results.Results.frame` answers them.
        group: which models take part.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        One row per data set, metric, robustness measure and statistic. Fewer than three models, or models that
        are all alike, have no correlation: the value is NaN.
    """
    rows = []
    chosen = frame[frame.group == group]
    for data, part in chosen.groupby("data", sort=False):
        wide = part.pivot_table(index=["recipe", "epsilon", "seed"], columns="measurement", values="value")
        robustness = [name for name in wide.columns if name.startswith("epsilon50")]
        for metric, strength in product([m for m in METRICS if m in wide.columns], robustness):
            pairs = wide[[metric, strength]].to_numpy()
            finite = pairs[np.isfinite(pairs).all(axis=1)]
            for name, statistic in (("Pearson", _pearson), ("Spearman", _spearman)):
                value, low, high = _with_interval(statistic, finite, resamples, seed)
                counts = (len(finite), len(pairs) - len(finite))
                rows.append((data, metric, strength, name, value, low, high, *counts))
    return pd.DataFrame(rows, columns=COLUMNS)


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    return float(stats.pearsonr(a, b).statistic)


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    return float(stats.spearmanr(a, b).statistic)


def _with_interval(
    statistic: Callable[[np.ndarray, np.ndarray], float], pairs: np.ndarray, resamples: int, seed: int
) -> tuple[float, float, float]:
    if len(pairs) < 3 or (np.ptp(pairs, axis=0) == 0).any():
        return (float("nan"),) * 3
    rng = np.random.default_rng(seed)
    with warnings.catch_warnings():
        # A resample of one model over and over has no correlation; those are left out of the percentiles.
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        drawn = pairs[rng.integers(len(pairs), size=(resamples, len(pairs)))]
        values = np.array([statistic(sample[:, 0], sample[:, 1]) for sample in drawn])
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return statistic(pairs[:, 0], pairs[:, 1]), float(low), float(high)

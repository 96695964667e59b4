"""Do models with better aligned gradients withstand more? Paper 1, Table 4, with intervals."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from scipy import stats

COLUMNS = (
    "data", "metric", "robustness", "statistic", "value", "low", "high", "models", "settings", "left_out",
)  # fmt: skip
FEWEST_MODELS = 3
"""Of which a correlation says something."""
FEWEST_SETTINGS = 5
"""Of which a bootstrap says something."""
Statistic = Callable[[np.ndarray, np.ndarray], float]


def correlations(
    frame: pd.DataFrame,
    metrics: Sequence[str],
    robustness: Sequence[str],
    *,
    statistics: Sequence[str] = ("Pearson", "Spearman"),
    resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Pearson and Spearman correlation of each alignment metric with each measure of robustness, over models.

    Models of one setting that differ in their seed alone are no independent evidence. Intervals are therefore 95 %
    percentile intervals of a bootstrap over settings (recipe, ε and whatever else a sweep sets), each with all its
    seeds. Models whose numbers are not finite are left out and counted.

    Args:
        frame: one row per number: `data`, `recipe`, `epsilon` or `setting` or both, `seed`, `measurement`, `value`.
        metrics: what stands under "measurement" for alignment.
        robustness: the same for robustness.
        statistics: which of the two.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        One row per data set, metric, robustness measure and statistic, with the numbers of models and of settings.
        Fewer than three models, or models that are all alike, have no correlation: the value is NaN. Fewer than five
        settings have no interval, since resamples of so few hardly differ.

    Raises:
        ValueError: if a model has two values of one measurement, which were averaged otherwise.
    """
    settings_of = ["recipe", *(name for name in ("epsilon", "setting") if name in frame)]
    keys = ["data", *settings_of, "seed", "measurement"]
    if frame.duplicated(keys).any():
        twice = frame[frame.duplicated(keys)].iloc[0]
        raise ValueError(f"`frame` should hold one value per model and measurement. Found two of {[*twice[keys]]}.")
    rows = []
    for data, part in frame.groupby("data", sort=False):
        # `pivot_table` drops models without a number, where they should be counted.
        wide = part.pivot(index=[*settings_of, "seed"], columns="measurement", values="value")  # noqa: PD010
        here = [[name for name in names if name in wide.columns] for names in (metrics, robustness)]
        for metric, strength in product(*here):
            pairs = wide[[metric, strength]].to_numpy()
            settings = wide.index.droplevel("seed").factorize()[0]
            finite = np.isfinite(pairs).all(axis=1)
            for name in statistics:
                found = _with_interval(STATISTICS[name], pairs[finite], settings[finite], resamples, seed)
                counts = (int(finite.sum()), len(np.unique(settings[finite])), int((~finite).sum()))
                rows.append((data, metric, strength, name, *found, *counts))
    return pd.DataFrame(rows, columns=COLUMNS)


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    # SciPy's own finds a p-value too, which thousands of resamples need not. The mean of a constant, rounded, may not
    # be the constant, which would correlate rounding errors.
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) and np.ptp(b) else math.nan


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    return _pearson(stats.rankdata(a), stats.rankdata(b))


STATISTICS: Mapping[str, Statistic] = {"Pearson": _pearson, "Spearman": _spearman}


def _with_interval(
    statistic: Statistic, pairs: np.ndarray, settings: np.ndarray, resamples: int, seed: int
) -> tuple[float, float, float]:
    nothing = float("nan")
    if len(pairs) < FEWEST_MODELS or (np.ptp(pairs, axis=0) == 0).any():
        return (nothing,) * 3
    value = statistic(pairs[:, 0], pairs[:, 1])
    members = [np.flatnonzero(settings == setting) for setting in np.unique(settings)]
    if len(members) < FEWEST_SETTINGS:
        return value, nothing, nothing
    rng = np.random.default_rng(seed)
    # A resample of one setting over and over may have no correlation; those are left out of the percentiles.
    drawn = rng.integers(len(members), size=(resamples, len(members)))
    samples = [pairs[np.concatenate([members[k] for k in row])] for row in drawn]
    values = np.array([statistic(sample[:, 0], sample[:, 1]) for sample in samples if len(sample) > 1])
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return value, float(low), float(high)

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
ROUNDING = 1e-12
"""Of squared correlations."""
FEWEST_SETTINGS = 5
"""Of which a bootstrap says something."""
WEIGHTS = 1_000_000
"""How often each model counts in each resample: so many numbers at a time, at most."""
GIVEN = "Pearson given ε"
"""The partial correlation, of what neither owes to the ε of training by a straight line."""
Statistic = Callable[..., float]


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
        frame: one row per number: `data`, `recipe`, `epsilon` or `setting` or both, `seed`, `measurement`, `value`;
            and `trained_at`, ε of a model's training, for the partial correlation.
        metrics: what stands under "measurement" for alignment.
        robustness: the same for robustness.
        statistics: which of the two, and `GIVEN` for Pearson's partial correlation given `trained_at`. It is that of
            the residuals of both in linear regressions on ε; where no ε differs, Pearson's.
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
        given = _given(part, wide) if GIVEN in statistics else None
        settings = wide.index.droplevel("seed").factorize()[0]
        here = [[name for name in names if name in wide.columns] for names in (metrics, robustness)]
        for metric, strength in product(*here):
            pairs = wide[[metric, strength]].to_numpy()
            finite = np.isfinite(pairs).all(axis=1)
            for name in statistics:
                columns = pairs if given is None or name != GIVEN else np.column_stack([pairs, given])
                found = _with_interval(STATISTICS[name], columns[finite], settings[finite], resamples, seed)
                counts = (int(finite.sum()), len(np.unique(settings[finite])), int((~finite).sum()))
                rows.append((data, metric, strength, name, *found, *counts))
    return pd.DataFrame(rows, columns=COLUMNS)


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    # SciPy's own finds a p-value too, which nobody asks for. The mean of a constant, rounded, may not
    # be the constant, which would correlate rounding errors.
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) and np.ptp(b) else math.nan


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    return _pearson(stats.rankdata(a), stats.rankdata(b))


def _partial(a: np.ndarray, b: np.ndarray, given: np.ndarray) -> float:
    return float(without(*(np.asarray(_pearson(*pair)) for pair in ((a, b), (a, given), (b, given)))))


def without(of_both: np.ndarray, of_a: np.ndarray, of_b: np.ndarray) -> np.ndarray:
    """The partial correlation of two given a third, from all three correlations; NaN where one is a line of it.

    Args:
        of_both: of a and b.
        of_a: of a and the third; NaN where the third is constant, so that nothing is taken away.
        of_b: the same of b.

    Example:
        >>> round(float(without(np.array(0.8), np.array(0.8), np.array(0.8))), 4)
        0.4444
    """
    of_a, of_b = (np.nan_to_num(found) for found in (of_a, of_b))
    left = (1 - of_a**2) * (1 - of_b**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.clip((of_both - of_a * of_b) / np.sqrt(left), -1.0, 1.0)
    return np.where(left > ROUNDING, found, math.nan)


STATISTICS: Mapping[str, Statistic] = {"Pearson": _pearson, "Spearman": _spearman, GIVEN: _partial}


def _given(part: pd.DataFrame, wide: pd.DataFrame) -> np.ndarray:
    """ε of the training of each model."""
    return part.groupby([*wide.index.names], sort=False).trained_at.first().reindex(wide.index).to_numpy()


def _with_interval(
    statistic: Statistic, pairs: np.ndarray, settings: np.ndarray, resamples: int, seed: int
) -> tuple[float, float, float]:
    nothing = float("nan")
    # A third column, of what is given, takes one degree of freedom, and may be constant.
    if len(pairs) < FEWEST_MODELS + (pairs.shape[1] - 2) or (np.ptp(pairs[:, :2], axis=0) == 0).any():
        return (nothing,) * 3
    value = statistic(*pairs.T)
    members = np.unique(settings)
    if math.isnan(value) or len(members) < FEWEST_SETTINGS:
        return value, nothing, nothing
    rng = np.random.default_rng(seed)
    # A resample of one setting over and over may have no correlation; those are left out of the percentiles.
    drawn = rng.integers(len(members), size=(resamples, len(members)))
    place = np.unique(settings, return_inverse=True)[1]
    values = np.concatenate([_of_resamples(statistic, pairs, part, place) for part in _parts(drawn, len(pairs))])
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return value, float(low), float(high)


def _parts(drawn: np.ndarray, models: int) -> list[np.ndarray]:
    """Resamples in parts whose weights fit into little memory."""
    return np.array_split(drawn, -(-len(drawn) * models // WEIGHTS))


def _of_resamples(statistic: Statistic, pairs: np.ndarray, drawn: np.ndarray, place: np.ndarray) -> np.ndarray:
    """A statistic of each of several resamples of settings; NaN where a resample has no correlation.

    Args:
        statistic: Pearson's or Spearman's correlation, or the partial one.
        pairs: of numbers, one per model; with what is given as a third for the partial one.
        drawn: the settings of each resample, some of them several times.
        place: the setting of each model.
    """
    count = int(place.max()) + 1
    times = np.stack([np.bincount(row, minlength=count) for row in drawn])[:, place].astype(np.float64)
    a, b, *given = ((_ranks if statistic is _spearman else _plain)(column, times) for column in pairs.T)
    found = _weighted(a, b, times)
    for third in given:
        constant = ~_differ(third, times)
        of_a, of_b = (np.where(constant, math.nan, _weighted(column, third, times)) for column in (a, b))
        found = without(found, of_a, of_b)
    return np.where((times.sum(axis=1) > 1) & _differ(a, times) & _differ(b, times), found, math.nan)


def _plain(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    return np.broadcast_to(values, times.shape)


def _ranks(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Ranks of values, each of which counts so many times; those that are equal share the mean of theirs."""
    _, level = np.unique(values, return_inverse=True)
    at_level = np.zeros((len(times), int(level.max()) + 1))
    for model, own in enumerate(level):
        at_level[:, own] += times[:, model]
    return (np.cumsum(at_level, axis=1) - (at_level - 1) / 2)[:, level]


def _differ(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Whether the values that count are not all the same, resample by resample."""
    drawn = times > 0
    lowest, highest = (
        pick(np.where(drawn, values, fill), axis=1) for pick, fill in ((np.min, np.inf), (np.max, -np.inf))
    )
    return highest > lowest


def _weighted(a: np.ndarray, b: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Pearson's correlation of values, each of which counts so many times, resample by resample."""
    total = times.sum(axis=1, keepdims=True)
    a, b = (values - (times * values).sum(axis=1, keepdims=True) / total for values in (a, b))
    covariance, of_a, of_b = ((times * one * other).sum(axis=1) for one, other in ((a, b), (a, a), (b, b)))
    with np.errstate(invalid="ignore", divide="ignore"):  # of a constant, which is left out
        return np.clip(covariance / np.sqrt(of_a * of_b), -1.0, 1.0)

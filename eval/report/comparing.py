"""Two recipes by one measurement, with the interval of their difference."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from eval.records import Quantity, Records
from eval.records.intervals import UNSURE, Interval
from eval.report.chosen_numbers import Shown, by_seed, per_sample
from eval.report.differences import between_shares, between_trainings, mean_over_trainings, over_samples


@dataclass(frozen=True)
class Compared:
    """Two recipes by one measurement.

    Attributes:
        quantity: that both have.
        means: over the models of each.
        interval: of the difference, 95 %; NaN where there is none.
        how: it was found, in words.
    """

    quantity: Quantity
    means: tuple[float, float]
    interval: Interval
    how: str

    @property
    def difference(self) -> float:
        """Of the first from the second."""
        return self.means[0] - self.means[1]


def compared_by(records: Records, ones: Sequence[Shown], others: Sequence[Shown]) -> Compared | None:
    """Two recipes by one measurement: over the seeds that both have, else over trainings, else over samples.

    Args:
        records: where the outcomes of samples are read.
        ones: numbers of one recipe, of the same samples as the others.
        others: of the other.

    Returns:
        None where a seed has several numbers.
    """
    one, other = by_seed(ones), by_seed(others)
    if one is None or other is None:
        return None
    quantity = next(iter(one.values())).record.quantity
    common = sorted(one.keys() & other.keys())
    if len(common) > 1:
        a, b = ([found[seed].record.value for seed in common] for found in (one, other))
        interval = mean_over_trainings(np.subtract(a, b)) if finite(a, b) else UNSURE
        return Compared(quantity, (mean(a), mean(b)), interval, f"paired over {len(common)} seeds")
    a, b = ([shown.record.value for shown in found.values()] for found in (one, other))
    if min(len(a), len(b)) > 1:
        interval = between_trainings(a, b) if finite(a, b) else UNSURE
        return Compared(quantity, (mean(a), mean(b)), interval, f"over {len(a)} and {len(b)} trainings")
    pair = [found[common[0]] if common else next(iter(found.values())) for found in (one, other)]
    interval, count = _over_samples(records, *pair)
    how = "so over {count} samples alone" if count else "and nothing recorded sample by sample"
    how = f"one training each, {how.format(count=count)}"
    return Compared(quantity, (pair[0].record.value, pair[1].record.value), interval, how)


def _over_samples(records: Records, one: Shown, other: Shown) -> tuple[Interval, int]:
    """The interval of a difference of two models on the samples that both met, and how many those are."""
    first, second = per_sample(records, one), per_sample(records, other)
    if first is None or second is None:
        return UNSURE, 0
    both = pd.concat([first.outcomes, second.outcomes], axis=1, join="inner").to_numpy()
    if first.is_share and second.is_share:
        return between_shares(both[:, 0], both[:, 1]), len(both)
    a, b = both.T
    return over_samples(lambda drawn: first.statistic(a[drawn]) - second.statistic(b[drawn]), len(both)), len(both)


def mean(values: Sequence[float]) -> float:
    """Their mean."""
    return sum(values) / len(values)


def finite(*several: Sequence[float]) -> bool:
    """Whether all of all are."""
    return all(math.isfinite(value) for values in several for value in values)

"""Residual estimators as measurements use them: made once per data set, and described in plain values."""

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from eval.records.identity import digest, plain
from generators import ResidualEstimator
from training.data import DataSet


def estimator_of(data: DataSet, residual: str | Mapping[str, Any]) -> ResidualEstimator:
    """The estimator by its name, or by a name with options; the same object for the same data set and name."""
    made, key = _MADE.setdefault(data, {}), digest(residual)
    if key not in made:
        made[key] = data.residual(residual)
    return made[key]


_MADE: WeakKeyDictionary[DataSet, dict[str, ResidualEstimator]] = WeakKeyDictionary()


def described_estimator(estimator: ResidualEstimator) -> dict[str, Any]:
    """What an estimator's output depends on, in plain values."""
    return {"name": estimator.name, "settings": plain(estimator.settings), "digest": estimator.digest}

"""The nearest examples of a study's data, which all its estimators are compared with, searched for once a process."""

from collections.abc import Mapping
from typing import Any

from eval.records.identity import digest
from generators import ResidualEstimator
from training.data import DataSet
from training.data.content import content_of

NEAREST = "nearest"
_KEPT: dict[str, ResidualEstimator] = {}
"""The one of the data set that was asked for last; it remembers what it has found."""


def nearest_of(data: DataSet, configuration: Mapping[str, Any]) -> ResidualEstimator:
    """The nearest training example, the same object as long as the data are the same, and so what it has found.

    One is kept, of the data set that was asked for last: estimators of one data set follow one another in a study.

    Args:
        data: the data set.
        configuration: what it was made of. Together with what it holds it says whether data are the same.
    """
    key = digest([configuration, content_of(data)])
    if key not in _KEPT:
        _KEPT.clear()
        _KEPT[key] = data.residual(NEAREST)
    return _KEPT[key]

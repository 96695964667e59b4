"""What a measurement is, and what it finds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from torch import Tensor

from eval.records.chosen import marks
from eval.records.intervals import UNSURE, Interval
from eval.records.quantity import Quantity
from training.data import Batch, DataSet
from training.passes import CountPasses


@dataclass(frozen=True)
class Outcome:
    """What a measurement found.

    Attributes:
        value: the number.
        per_sample: one row per sample; the columns depend on the measurement.
        interval: 95 % interval of the number over samples; NaN where there is none.
        invalid: samples left out because they have no direction, or rejected outputs of an attack.
        details: what else a reader of the number must know.
        arrays: what a picture is drawn from; kept beside the record.
        samples: how many the number rests on, where rows of `per_sample` are something else, such as steps or epochs.
    """

    value: float
    per_sample: pd.DataFrame
    interval: Interval = UNSURE
    invalid: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    samples: int | None = None


@runtime_checkable
class Measurement(Protocol):
    """A number that can be measured on any classifier and data set. Its fields are its settings."""

    def quantity(self, data: DataSet) -> Quantity:
        """What it is a number of, with all that it depends on beside the classifier and the samples."""
        ...

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """Measure."""
        ...


def outcomes_of(batches: Iterable[Batch], **columns: Tensor) -> pd.DataFrame:
    """One row per sample: its index in the split, its label, and what was found."""
    index, label = marks(batches)
    joined = {"index": index, "label": label} | columns
    return pd.DataFrame({name: values.cpu().numpy() for name, values in joined.items()})

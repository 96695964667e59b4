"""α_Δx at the closest class beside its mean over all other classes: paper 1, Table 7."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch

from alignment import alpha_dx_other_classes
from eval.figures.kind import FigureKind, no_pictures
from eval.records import Quantity, Record, Records
from eval.records.estimators import described_estimator, estimator_of
from eval.records.intervals import mean_interval
from eval.records.outcome import Measurement, Outcome, outcomes_of
from eval.tables.table import Table
from generators.store import for_samples
from training.data import Batch, DataSet
from training.passes import CountPasses

KIND = "alpha_dx_other"


@dataclass(frozen=True)
class OtherClasses:
    """α_Δx averaged over every class but the true one.

    Args:
        residual: estimator of Δx, see `eval.records.measurements.Alignment`.
    """

    residual: str | Mapping[str, Any] = "auto"

    def quantity(self, data: DataSet) -> Quantity:
        """By this very estimator."""
        return Quantity(KIND, settings={"estimator": described_estimator(estimator_of(data, self.residual))})

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """Mean over samples; per sample the mean over classes."""
        estimator = estimator_of(data, self.residual)
        found = torch.cat(
            [alpha_dx_other_classes(classifier, b.x, b.y, for_samples(estimator, b.indices)) for b in batches]
        ).cpu()
        values = found.double().numpy()
        return Outcome(float(values.mean()), outcomes_of(batches, cosine=found), mean_interval(values))


def measurements(residual: str | Mapping[str, Any] = "auto") -> Sequence[Measurement]:
    """The one measurement."""
    return [OtherClasses(residual)]


def table(records: Records, chosen: Sequence[Record]) -> Table:
    """One row per model."""
    lines = [
        {
            "data": record.model.data,
            "recipe": record.model.recipe,
            "seed": record.model.seed,
            "α_Δx, mean over other classes": "{:.3f} [{:.3f}, {:.3f}]".format(record.value, *record.interval),
        }
        for record in chosen
    ]
    return Table(pd.DataFrame(lines))


OTHER_CLASSES = FigureKind(
    "other_classes", "α_Δx and the other classes (paper 1, Table 7)", (KIND,), measurements, table, no_pictures
)

"""α_Δx at the closest class beside its mean over all other classes: paper 1, Table 7.

`alphadx measure model.ckpt --data MNIST --figures other_classes --out FOLDER` measures and prints both.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import torch

from alignment import Candidates, alpha_dx_other_classes
from eval.figures.kind import FigureKind, no_pictures
from eval.records import Quantity, Record, Records
from eval.records.estimators import described_estimator, estimator_of
from eval.records.identity import digest
from eval.records.intervals import mean_interval
from eval.records.measurements import Alignment
from eval.records.outcome import Measurement, Outcome, outcomes_of
from eval.tables.cells import cell, deviation
from eval.tables.rows import Row, rows
from eval.tables.table import Table
from generators.store import for_samples
from training.data import Batch, DataSet
from training.passes import CountPasses

OVER_SEEDS = "±: standard deviation over models of one recipe, trained with other seeds."
NO_RATIO = (
    "other / c̃(x): – where α_Δx at c̃(x) cannot be told from 0, by its interval or by two standard errors over models."
)
KIND, CLOSEST = "alpha_dx_other", "alpha_dx"


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


def measurements(residual: str | Mapping[str, Any] = "auto", candidates: Candidates = None) -> Sequence[Measurement]:
    """α_Δx at the closest class, which is measured once whoever asks for it, and the mean over the other classes."""
    return [Alignment(residual, candidates=candidates), OtherClasses(residual)]


def table(records: Records, chosen: Sequence[Record]) -> Table:
    """One row per recipe, over its seeds: α_Δx at the closest class, and its mean over the other classes."""
    models = {record.subject.model_key for record in chosen}
    beside = [r for r in records if r.quantity.kind == CLOSEST and r.subject.model_key in models]
    beside = [r for r in beside if r.quantity.settings.get("of", Alignment().of) == Alignment().of]
    lines = [_line(row, estimator) for row in rows([*beside, *chosen]) for estimator in _estimators(row)]
    unknown = any(line["other / c̃(x)"] == "–" and line["α_Δx at c̃(x)"] != "–" for line in lines)
    notes = [OVER_SEEDS, NO_RATIO] if unknown else [OVER_SEEDS]
    return Table(pd.DataFrame(lines), notes)


def _line(row: Row, estimator: str) -> dict[str, Any]:
    found = [record for record in row.records if _estimator(record) == estimator]
    closest, other = ([r for r in found if r.quantity.kind == kind] for kind in (CLOSEST, KIND))
    share = _mean(other) / _mean(closest) if closest and _is_apart_from_0(closest) else math.nan
    return {
        "data": row.data,
        "recipe": row.recipe,
        "models": len(other),
        "Δx by": other[0].quantity.settings["estimator"]["name"],
        "α_Δx at c̃(x)": _cell(closest),
        "mean over other classes": _cell(other),
        "other / c̃(x)": "–" if math.isnan(share) else f"{share:.2f}",
    }


def _cell(records: Sequence[Record]) -> str:
    return cell([replace(record, quantity=Quantity(CLOSEST)) for record in records]) if records else "–"


def _is_apart_from_0(records: Sequence[Record]) -> bool:
    """Whether a mean is known well enough to divide by: the interval of a single model, else two standard errors."""
    values = [record.value for record in records]
    if len(values) == 1:
        low, high = records[0].interval
        return low > 0 or high < 0
    return abs(_mean(records)) > 2 * deviation(values) / math.sqrt(len(values))


def _mean(records: Sequence[Record]) -> float:
    return sum(record.value for record in records) / len(records)


def _estimators(row: Row) -> list[str]:
    """Digests of the estimators by which the other classes of a row were measured."""
    return [*dict.fromkeys(_estimator(record) for record in row.records if record.quantity.kind == KIND)]


def _estimator(record: Record) -> str:
    return digest(record.quantity.settings.get("estimator"))


OTHER_CLASSES = FigureKind(
    "other_classes", "α_Δx and the other classes (paper 1, Table 7)", (KIND,), measurements, table, no_pictures
)

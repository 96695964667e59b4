"""x, Δx, x̂' and ∇ℓ(x) side by side, for the models of a data set: paper 1, Figures 1, 9 and S8."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from matplotlib.figure import Figure
from torch import Tensor

from alignment import Candidates, closest_class, cosine_similarity, input_gradient
from alignment.candidates import recorded
from alignment.double import exactly
from alignment.residuals import residuals_of
from eval.figures.gradient_pictures import Shown, picture
from eval.figures.kind import FigureKind
from eval.records import Quantity, Record, Records
from eval.records.chosen import marks
from eval.records.estimators import described_estimator, estimator_of
from eval.records.identity import slug
from eval.records.outcome import Measurement, Outcome, outcomes_of
from eval.tables.rows import Row, rows
from eval.tables.table import Table
from generators import ResidualEstimator
from generators.store import for_samples
from training.data import Batch, DataSet
from training.passes import CountPasses

KIND = "gradients"
HELD = 2**20
"""Numbers that the samples of a picture may hold together; of larger samples there are fewer."""
SWEEP = "sweep"
"""The group whose models stand in a picture of their own."""
SCALE = (
    "∇ℓ and Δx are drawn around zero, each picture scaled to the 99.5th percentile of its own absolute values: red "
    "is above zero and blue below, or, of colour images, each channel around grey. x̂' is x + Δx. The number below "
    "∇ℓ is sim(Δx, ∇ℓ), and an arrow leads to the closest class."
)


@dataclass(frozen=True)
class Gradients:
    """∇ℓ(x) beside Δx(x, c̃) for a few samples, the first of each class, which are the same for every model.

    Args:
        residual: estimator of Δx, see `eval.records.measurements.Alignment`; with "auto" there is no Δx where the
            data set has none.
        candidates: see `alignment.closest_class`.
        per_class: samples of each class, at most.
        most: samples in all, at most.
    """

    residual: str | Mapping[str, Any] = "auto"
    candidates: Candidates = None
    per_class: int = 3
    most: int = 10

    def quantity(self, data: DataSet) -> Quantity:
        """By this very estimator."""
        estimator = self._estimator(data)
        settings: dict[str, Any] = {"per_class": self.per_class, "most": self.most}
        settings["candidates"] = recorded(self.candidates, data.num_classes)
        settings["estimator"] = None if estimator is None else described_estimator(estimator)
        return Quantity(KIND, settings=settings)

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """Mean sim(Δx, ∇ℓ) of these samples, NaN without an estimator of Δx."""
        batch = self._chosen(data, batches)
        target = closest_class(classifier, batch.x, batch.y, candidates=self.candidates)
        gradient = input_gradient(classifier, batch.x, target, batch.y)
        found = {"x": batch.x, "gradient": gradient}
        columns, value, invalid = {"target": target}, math.nan, 0
        if (estimator := self._estimator(data)) is not None:
            residual = residuals_of(for_samples(estimator, batch.indices), batch.x, batch.y, target)
            cosine, valid = cosine_similarity(residual, gradient)
            value, invalid = float(exactly(cosine[valid]).mean()), int((~valid).sum())
            found["residual"] = residual
            columns |= {"cosine": cosine, "valid": valid}
        arrays = {name: kept.cpu().numpy() for name, kept in found.items()}
        arrays |= {"classes": np.array(data.classes), "bounds": np.array(data.bounds)}
        return Outcome(value, outcomes_of([batch], **columns), invalid=invalid, arrays=arrays)

    def _chosen(self, data: DataSet, batches: Iterable[Batch]) -> Batch:
        """The samples, in the order of their classes."""
        most = max(1, min(self.most, HELD // math.prod(data.shape)))
        wanted = first_of_each_class(marks(batches)[1].cpu(), self.per_class, most)
        found: dict[int, Batch] = {}
        start = 0
        for batch in batches:
            here = [row for row in wanted.tolist() if start <= row < start + len(batch.y)]
            found |= {row: Batch(*(part[row - start : row - start + 1] for part in batch)) for row in here}
            start += len(batch.y)
        parts = zip(*(found[row] for row in wanted.tolist()), strict=True)
        return Batch(*(torch.cat(part) for part in parts))

    def _estimator(self, data: DataSet) -> ResidualEstimator | None:
        try:
            return estimator_of(data, self.residual)
        except (ValueError, FileNotFoundError):
            if self.residual != "auto":
                raise
            return None


def first_of_each_class(labels: Int[Tensor, " N"], per_class: int, most: int) -> Int[Tensor, " K"]:
    """Numbers of the first few samples of each class, those of a class together.

    Where there are more than `most`, the first of every class comes before the second of any.

    Example:
        >>> first_of_each_class(torch.tensor([1, 1, 0, 1, 0]), per_class=2, most=3)
        tensor([2, 4, 0])
    """
    members = [(labels == c).nonzero().flatten()[:per_class].tolist() for c in labels.unique().tolist()]
    by_turn = [(turn, c) for c, rows in enumerate(members) for turn in range(len(rows))]
    kept = sorted((c, turn) for turn, c in sorted(by_turn)[:most])
    return torch.tensor([members[c][turn] for c, turn in kept])


def measurements(
    residual: str | Mapping[str, Any] = "auto", candidates: Candidates = None, per_class: int = 3, most: int = 10
) -> Sequence[Measurement]:
    """The one measurement."""
    return [Gradients(residual, candidates, per_class, most)]


def table(records: Records, chosen: Sequence[Record]) -> Table:
    """One row per model whose gradients are drawn."""
    lines = [
        {
            "data": row.data,
            "recipe": row.recipe,
            "seed": record.model.seed,
            "samples": record.samples,
            "mean sim(Δx, ∇ℓ) of these": "–" if math.isnan(record.value) else f"{record.value:z.3f}",
        }
        for row, record in _drawn(chosen)
    ]
    return Table(pd.DataFrame(lines), [SCALE])


def draw(records: Records, chosen: Sequence[Record]) -> dict[str, Figure]:
    """A picture per data set, with one model per recipe; those of a sweep alone have one of their own."""
    groups: dict[tuple[str, str, str], list[Shown]] = {}
    for row, record in _drawn(chosen):
        swept = {*record.model.groups} == {SWEEP}
        key = (row.data, f"-{SWEEP}" if swept else "", record.quantity.key)
        groups.setdefault(key, []).append(Shown(row.recipe, records.arrays(record), records.per_sample(record)))
    found: dict[str, Figure] = {}
    for (data, suffix, _), models in groups.items():
        name = f"{slug(data)}{suffix}"
        number = sum(other.startswith(name) for other in found)
        found[f"{name}-{number + 1}" if name in found else name] = picture(data, models)
    return found


def _drawn(chosen: Sequence[Record]) -> list[tuple[Row, Record]]:
    """Of each row and quantity the model of the first seed."""
    found = []
    for row in rows(chosen):
        first: dict[Quantity, Record] = {}
        for record in sorted(row.records, key=lambda record: record.model.seed):
            first.setdefault(record.quantity, record)
        found += [(row, record) for record in first.values()]
    return found


GRADIENTS = FigureKind(
    "gradients", "Direction of the gradient (paper 1, Figs. 1, 9 and S8)", (KIND,), measurements, table, draw
)

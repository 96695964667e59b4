"""α_Δx and α_x of each of four differentiated quantities, with the closest class in both its forms.

Paper 1, Table S2, which has α_x alone: what each choice is worth on a model of one's own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

import pandas as pd
import torch
from torch import Tensor

from alignment import Candidates, Similarity, closest_class, cosine_similarity, input_gradient
from alignment.alphas import Differentiated
from alignment.candidates import recorded
from alignment.precision import exact
from alignment.residuals import residuals_of
from eval.figures.kind import FigureKind, no_pictures
from eval.records import Quantity, Record, Records
from eval.records.estimators import described_estimator, estimator_of
from eval.records.intervals import mean_interval
from eval.records.outcome import Measurement, Outcome, outcomes_of
from eval.records.sanity import logits_at
from eval.tables import Table, rows
from eval.tables.cells import correlation_told
from generators import ResidualEstimator
from generators.store import for_samples
from training.data import Batch, DataSet
from training.passes import CountPasses

KIND = "alpha_variants"
FORMS: tuple[Differentiated, ...] = get_args(Differentiated)
COLUMNS = dict(
    zip(FORMS, ("∇(logit_c̃ − logit_y)", "∇(logit_c* − logit_m(x))", "∇logit_y", "∇logit_m(x)"), strict=True)
)
"""Titles of the differentiated quantities, in the order of Table S2."""
MEASURES = {
    "alpha_dx": "α_Δx",
    "alpha_dx_signed": "α_Δx, signed c̃",
    "alpha_x": "α_x",
    "alpha_x_signed": "α_x, signed c̃",
}
"""Titles of what is compared with the gradient, and of the closest class's form."""


class Found(NamedTuple):
    """The variants of a batch, by measure and form, and the closest classes in both forms."""

    cosines: dict[str, Similarity]
    closest: Tensor
    signed: Tensor
    predicted: Tensor


@dataclass(frozen=True)
class Variants:
    """α_Δx and α_x in every form. Its number is α_Δx as paper 1 defines it (Eq. 8).

    Args:
        residual: estimator of Δx, see `eval.records.measurements.Alignment`.
        candidates: see `alignment.closest_class`.
    """

    residual: str | Mapping[str, Any] = "auto"
    candidates: Candidates = None

    def quantity(self, data: DataSet) -> Quantity:
        """By this very estimator."""
        estimator = described_estimator(estimator_of(data, self.residual))
        return Quantity(
            KIND, settings={"candidates": recorded(self.candidates, data.num_classes), "estimator": estimator}
        )

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """Means over samples that have a direction; per sample the cosines, NaN without."""
        estimator = estimator_of(data, self.residual)
        found = [self.of_batch(classifier, batch, estimator) for batch in batches]
        predicted = torch.cat([one.predicted for one in found])
        closest, signed = (torch.cat([getattr(one, name) for one in found]) for name in ("closest", "signed"))
        columns = {name: torch.cat([_or_nan(one.cosines[name]) for one in found]) for name in found[0].cosines}
        frame = outcomes_of(batches, predicted=predicted, closest=closest, closest_signed=signed, **columns)
        wrong = frame.predicted != frame.label
        variants = {name: _summary(frame[name]) for name in columns}
        details = {
            "variants": variants,
            "misclassified": int(wrong.sum()),
            "differ": int((frame.closest != frame.closest_signed).sum()),
        }
        main = variants["alpha_dx_closest_to_true"]
        return Outcome(main["mean"], frame, (main["low"], main["high"]), main["invalid"], details)

    @exact()
    def of_batch(self, classifier: CountPasses, batch: Batch, estimator: ResidualEstimator) -> Found:
        """Every variant: each gradient, each direction and each search for a closest class is made once."""
        x, y = batch.x, batch.y
        predicted = logits_at(classifier, x).argmax(dim=1)
        closest, signed, runner_up = (
            closest_class(classifier, x, left, candidates=self.candidates, signed=form)
            for left, form in ((y, False), (y, True), (predicted, False))
        )
        gradients = {
            "closest_to_true": input_gradient(classifier, x, closest, y),
            "closest_to_predicted": input_gradient(classifier, x, runner_up, predicted),
            # Of a single logit the sign that it has in ℓ, as in `alignment.alpha_dx`.
            "true": -input_gradient(classifier, x, y),
            "predicted": -input_gradient(classifier, x, predicted),
        }
        by_signed = gradients | {"closest_to_true": input_gradient(classifier, x, signed, y)}
        residual = for_samples(estimator, batch.indices)
        compared = {
            "alpha_dx": (residuals_of(residual, x, y, closest), gradients),
            "alpha_dx_signed": (residuals_of(residual, x, y, signed), by_signed),
            "alpha_x": (x, gradients),
            "alpha_x_signed": (x, by_signed),
        }
        cosines = {
            f"{name}_{form}": cosine_similarity(direction, slopes[form])
            for name, (direction, slopes) in compared.items()
            for form in FORMS
        }
        of_image = {name: Similarity(s.value.abs(), s.valid) for name, s in cosines.items() if "alpha_x" in name}
        return Found(cosines | of_image, closest, signed, predicted)


def _or_nan(similarity: Similarity) -> Tensor:
    return torch.where(similarity.valid, similarity.value, torch.nan).cpu()


def _summary(cosines: pd.Series) -> dict[str, Any]:
    valid = cosines.dropna().to_numpy(dtype="float64")
    low, high = mean_interval(valid)
    return {
        "mean": float(valid.mean()) if len(valid) else float("nan"),
        "low": low,
        "high": high,
        "invalid": len(cosines) - len(valid),
    }


def measurements(residual: str | Mapping[str, Any] = "auto", candidates: Candidates = None) -> Sequence[Measurement]:
    """The one measurement."""
    return [Variants(residual, candidates)]


def table(records: Records, chosen: Sequence[Record]) -> Table:
    """For each model one row per measure; the signed form has its own where it is another class on some sample."""
    lines, notes = [], []
    for row in rows(chosen):
        for record in row.records:
            named = {"data": row.data, "recipe": row.recipe, "seed": record.model.seed}
            lines += [named | {"α": MEASURES[name]} | _cells(record, name) for name in _measures(record)]
            notes.append(f"{row.data}, {row.recipe}, seed {record.model.seed}: {_said(record)}")
    return Table(pd.DataFrame(lines), notes)


def _measures(record: Record) -> list[str]:
    return [name for name in MEASURES if record.details["differ"] or not name.endswith("signed")]


def _cells(record: Record, measure: str) -> dict[str, str]:
    found = record.details["variants"]
    return {title: _cell(found[f"{measure}_{form}"]) for form, title in COLUMNS.items()}


def _cell(found: Mapping[str, Any]) -> str:
    # A number that JSON does not know is read as its text.
    told = correlation_told(*(float(found[name]) for name in ("mean", "low", "high")))
    return told + (f" ({found['invalid']} without direction)" if found["invalid"] else "")


def _said(record: Record) -> str:
    wrong, differ = record.details["misclassified"], record.details["differ"]
    form = (
        f"on {differ} of all {record.samples} the signed form finds another closest class"
        if differ
        else "both forms find the same closest class on every sample"
    )
    return f"{wrong} of {record.samples} samples are misclassified; {form}."


VARIANTS = FigureKind(
    "variants", "What is differentiated (paper 1, Table S2)", (KIND,), measurements, table, no_pictures
)

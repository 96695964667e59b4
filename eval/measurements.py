"""What can be measured on a classifier; each measurement answers one number and an outcome per sample."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Protocol, runtime_checkable

import pandas as pd
import torch
from torch import Tensor, nn

from alignment import AlphaDx, AlphaX
from alignment.metrics import Differentiated
from eval.passes import CountPasses
from eval.radii import critical_radii
from eval.results import Model, Record, provenance
from eval.verdict import predictions
from training.attacks import Loss, Norm, pgd
from training.data import Batch, DataSet, SplitName
from training.strength import Strength


@dataclass(frozen=True)
class Outcome:
    """What a measurement found.

    Attributes:
        value: the number.
        per_sample: one row per sample; the columns depend on the measurement.
        invalid: samples left out because they have no direction, or rejected answers of an attack.
        details: what else a reader of the number must know, kept with the settings.
    """

    value: float
    per_sample: pd.DataFrame
    invalid: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Measurement(Protocol):
    """A number that can be measured on any classifier and data set. Its fields are its settings."""

    @property
    def name(self) -> str:
        """As it stands in records."""
        ...

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """Measure."""
        ...


@dataclass(frozen=True)
class Accuracy:
    """Share of samples that are classified correctly, without attack."""

    name = "accuracy"

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """Accuracy in [0, 1]; per sample the predicted class."""
        predicted = torch.cat([predictions(classifier, batch.x).cpu() for batch in batches])
        frame = _frame(batches, predicted=predicted)
        return Outcome(float((frame.predicted == frame.label).mean()), frame)


@dataclass(frozen=True)
class Alignment:
    """α_Δx (paper 1, Eq. 8) with the data set's residual of some name.

    Args:
        residual: an estimator by a name that `DataSet.residual` knows.
        of: what is differentiated, see `alignment.alpha_dx`.
        candidates: see `alignment.closest_class`.
    """

    residual: str = "auto"
    of: Differentiated = "closest_to_true"
    candidates: int | None = None
    name = "alpha_dx"

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """Mean cosine over samples that have a direction; per sample the cosine."""
        metric = AlphaDx(data.residual(self.residual), of=self.of, candidates=self.candidates)
        return _mean_cosine(metric, classifier, batches)


@dataclass(frozen=True)
class ImageAlignment:
    """α_x (paper 1, Eq. 18).

    Args:
        of: what is differentiated, see `alignment.alpha_x`.
    """

    of: Differentiated = "predicted"
    name = "alpha_x"

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """Mean absolute cosine over samples that have a direction; per sample that cosine."""
        return _mean_cosine(AlphaX(of=self.of), classifier, batches)


@dataclass(frozen=True)
class PGDRadii:
    """ε50% under PGD: the median over samples of the smallest ε at which the attack succeeds.

    Args:
        norm: of the ball.
        steps: gradient steps, κ.
        step_size: η for Linf; with L2 the paper's η·√n is used. None for the default of `pgd`.
        loss: see `training.attacks.pgd`.
        resolution: relative width to which ε50% is closed.
        curve_resolution: relative width to which the other radii, and with them the curve, are closed; None for
            not at all, when ε50% alone is wanted, which is much cheaper.
        seed: of the random starts.
    """

    norm: Norm = "Linf"
    steps: int = 40
    step_size: Strength | None = None
    loss: Loss = "auto"
    resolution: float = 0.01
    curve_resolution: float | None = 0.05
    seed: int = 0

    @property
    def name(self) -> str:
        """Such as "epsilon50_pgd_linf"."""
        return f"epsilon50_pgd_{self.norm.lower()}"

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """ε50%; per sample the radius and the largest strength seen to fail."""
        scale = math.sqrt(math.prod(data.shape)) if self.norm == "L2" else 1.0
        step_size = None if self.step_size is None else float(self.step_size) * scale
        radii = critical_radii(
            classifier,
            batches,
            partial(pgd, steps=self.steps, step_size=step_size, loss=self.loss, leave_when_fooled=True),
            norm=self.norm,
            resolution=self.resolution,
            curve_resolution=self.curve_resolution,
            only="median" if self.curve_resolution is None else "all",
            bounds=data.bounds,
            seed=self.seed,
        )
        frame = _frame(batches, radius=radii.upper, failed_at=radii.lower)
        return Outcome(radii.epsilon50, frame, radii.rejected, {"epsilon_max": radii.epsilon_max})


def standard_measurements(
    norms: Sequence[Norm] = ("Linf", "L2"),
    steps: int = 40,
    step_size: Strength | float | str | None = None,
    loss: Loss = "auto",
    resolution: float = 0.01,
    curve_resolution: float | None = 0.05,
    residual: str = "auto",
    candidates: int | None = None,
    seed: int = 0,
) -> list[Measurement]:
    """Accuracy, ε50% under PGD in each norm, α_Δx and α_x: paper 1's Table 2 as far as PGD goes.

    Args:
        norms: for PGD.
        steps: gradient steps of PGD, κ.
        step_size: η for Linf, η·√n for L2; None for the default of `pgd`.
        loss: inside PGD, see `training.attacks.pgd`.
        resolution: relative width to which ε50% is closed.
        curve_resolution: relative width to which the other radii are closed; None for ε50% alone.
        residual: estimator for α_Δx, by a name that `DataSet.residual` knows.
        candidates: see `alignment.closest_class`.
        seed: of the random starts.
    """
    stride = None if step_size is None else Strength(step_size)
    attacks = [PGDRadii(norm, steps, stride, loss, resolution, curve_resolution, seed) for norm in norms]
    return [Accuracy(), *attacks, Alignment(residual, candidates=candidates), ImageAlignment()]


def take(
    measurement: Measurement,
    classifier: nn.Module,
    data: DataSet,
    model: Model,
    *,
    split: SplitName = "test",
    limit: int | None = None,
    training: Mapping[str, Any] | None = None,
) -> tuple[Record, pd.DataFrame]:
    """Take one measurement of a classifier on a split of a data set.

    Args:
        measurement: what to measure.
        classifier: from `(B, *shape)` to logits `(B, C)`; left as it was found.
        data: the data set.
        model: what the record is about.
        split: of the data set.
        limit: only that many samples, the first ones; None for all.
        training: configuration of the training, for the record.

    Returns:
        The record, and a table with one row per sample.
    """
    device = next((p.device for p in classifier.parameters()), torch.device("cpu"))
    batches = [Batch(*(part.to(device) for part in batch)) for batch in _limited(data.batches(split), limit)]
    counted = CountPasses(classifier)
    started = time.perf_counter()
    outcome = measurement(counted, data, batches)
    record = Record(
        model=model,
        measurement=measurement.name,
        value=outcome.value,
        samples=len(outcome.per_sample),
        invalid=outcome.invalid,
        settings=asdict(measurement) | {"split": split, "limit": limit} | outcome.details,  # type: ignore[call-overload]
        forward_passes=counted.forward_passes,
        backward_passes=counted.backward_passes,
        seconds=time.perf_counter() - started,
        training=training or {},
        provenance=provenance(),
    )
    return record, outcome.per_sample


def _limited(batches: Iterable[Batch], limit: int | None) -> Iterable[Batch]:
    left = math.inf if limit is None else limit
    for batch in batches:
        if left <= 0:
            return
        kept = min(len(batch.y), left)
        yield Batch(*(part[: int(kept)] for part in batch))
        left -= kept


def _mean_cosine(metric: AlphaDx | AlphaX, classifier: nn.Module, batches: Iterable[Batch]) -> Outcome:
    found = [metric.similarity(classifier, batch.x, batch.y) for batch in batches]
    values, valid = torch.cat([s.value for s in found]), torch.cat([s.valid for s in found])
    mean = float(values[valid].double().mean())
    return Outcome(mean, _frame(batches, cosine=values, valid=valid), int((~valid).sum()))


def _frame(batches: Iterable[Batch], **columns: Tensor) -> pd.DataFrame:
    """One row per sample: its index in the split, its label, and what was found."""
    both = {"index": [b.indices for b in batches], "label": [b.y for b in batches]}
    joined = {name: torch.cat(parts) for name, parts in both.items()} | columns
    return pd.DataFrame({name: values.cpu().numpy() for name, values in joined.items()})

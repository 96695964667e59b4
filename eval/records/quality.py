"""How good a residual estimator is: by the truth where it is known, and without it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor, nn

from alignment.contracts import check_finite
from eval.attacks.verdict import predictions
from eval.records import residual_numbers as numbers
from eval.records.estimators import described_estimator
from eval.records.judges import Judges, judged_by
from eval.records.keeper import keeper_for
from eval.records.provenance import provenance
from eval.records.quantity import Quantity
from eval.records.record import Record
from eval.records.residual_grid import grid_quantity, residual_grid
from eval.records.store import ModelFolder
from eval.records.subject import Model, Subject, chosen_samples
from eval.robustness.batching import Batching
from eval.robustness.dealing import dealt
from generators import ResidualEstimator
from generators.store import for_samples, is_by_sample
from training.data import Batch, DataSet, SplitName
from training.seeds import generator_for

SIMILARITY, NORM = "residual_similarity", "residual_norm"
LENGTH_RATIO, ENERGY, CYCLE = "residual_length_ratio", "residual_energy", "residual_cycle"
"""Names of the numbers beside the target share."""
ROWS = 10
"""Samples that are kept as examples, one per class."""


def targets(y: Int[Tensor, " B"], classes: int, seed: int = 0) -> Int[Tensor, " B"]:
    """Another class for every sample: the only one of two, else one that is drawn.

    Example:
        >>> targets(torch.tensor([0, 1, 0]), 2)
        tensor([1, 0, 1])
    """
    return (y + torch.randint(1, classes, y.shape, generator=generator_for(seed, "targets"))) % classes


@dataclass(frozen=True)
class EstimatorQuality:
    """How good an estimator is, to be measured.

    Where the truth is known sim(Δx, Δ̂x); in any case the share of x̂' of the target class before each judge, median
    ‖Δ̂x‖₂, and beside the nearest example's, the energy distance of x̂' to the class, and how far the way back ends
    from x, see `eval.records.residual_numbers`.

    Args:
        estimator: what is measured.
        data: the data set.
        model: how it is called.
        judge: a classifier that had no part in the estimator's training, or several by name; without one there is no
            share. One trained against attacks is not fooled by a residual that is an attack.
        split: of the data set.
        limit: only that many samples, the first ones; None for all.
        device: to work on.
        seed: of the target classes, where there are several.
        training: how the estimator was made, for the records.
        nearest: the nearest training example, which lengths are compared with; without it they are not.
    """

    estimator: ResidualEstimator
    data: DataSet
    model: Model
    judge: Judges = None
    split: SplitName = "test"
    limit: int | None = None
    device: str | torch.device = "cpu"
    seed: int = 0
    training: Mapping[str, Any] = field(default_factory=dict)
    nearest: ResidualEstimator | None = None

    def wanted(self) -> list[Quantity]:
        """The numbers that can be measured."""
        settings: dict[str, Any] = {"seed": self.seed}
        kinds = [ENERGY, NORM]
        if self.nearest is not None:
            kinds.insert(0, LENGTH_RATIO)
        if not is_by_sample(self.estimator):  # which knows nothing of x̂'
            kinds.insert(0, CYCLE)
        first = [SIMILARITY] if self.data.exact_residual else []
        judged = judged_by(self.judge, settings)
        return [
            *(Quantity(kind, settings=settings) for kind in first),
            *judged,
            *(self._compared(kind, settings) for kind in kinds),
        ]

    def _compared(self, kind: str, settings: Mapping[str, Any]) -> Quantity:
        """A number, with what it is stated beside."""
        beside = kind in (LENGTH_RATIO, ENERGY) and self.nearest is not None
        told = {"nearest": described_estimator(self.nearest)} if beside and self.nearest is not None else {}
        return Quantity(kind, settings={**settings, **told})

    def sitting(self) -> tuple[Batch, Subject]:
        """The samples, and what the records are about.

        Raises:
            ValueError: if `limit` is below 1, or there is no sample.
        """
        batches, samples = chosen_samples(self.data, self.split, self.limit)
        whole = Batch(*(torch.cat(parts) for parts in zip(*batches, strict=True)))
        described = described_estimator(self.estimator)
        network = {"estimator": described["name"], "settings": described["settings"]}
        return whole, Subject(samples, network, described["digest"], self.training)

    def measured(self, folder: ModelFolder) -> list[Record]:
        """The records of all that can be measured; what is recorded in the folder already is read from there.

        Raises:
            ValueError: if the estimator returns NaN, does not fit the data, or a record is damaged.
        """
        whole, subject = self.sitting()
        wanted = self.wanted()
        keep = keeper_for(folder)
        recorded = [keep(partial(folder.find, quantity, subject)) for quantity in wanted]
        grid = self._grid(whole, subject, folder)
        if all(recorded):
            return [*(record for record in recorded if record is not None), grid]
        outcomes, examples = self.take(whole, subject)
        keep(partial(folder.write_examples, examples))
        return [*(keep(partial(folder.write, record, per_sample)) for record, per_sample in outcomes), grid]

    def _grid(self, whole: Batch, subject: Subject, folder: ModelFolder) -> Record:
        """Residuals of a few samples to every other class, for the figure of that name."""
        quantity, started = grid_quantity(self.estimator, self.data), time.perf_counter()
        keep = keeper_for(folder)
        if recorded := keep(partial(folder.find, quantity, subject)):
            return recorded
        placed = Batch(*(part.to(self.device) for part in whole))
        outcome = residual_grid(self.estimator, self.data, placed, quantity.settings["per_class"])
        seconds = time.perf_counter() - started
        found = {"value": outcome.value, "interval": outcome.interval, "samples": outcome.samples, "seconds": seconds}
        record = self._record(quantity, subject, **found)
        return keep(partial(folder.write, record, outcome.per_sample, outcome.arrays))

    def take(self, whole: Batch, subject: Subject) -> tuple[list[tuple[Record, pd.DataFrame]], dict[str, np.ndarray]]:
        """Measure.

        Args:
            whole: all samples.
            subject: what the records are about.

        Returns:
            Records, each with a table of one row per sample. And the first sample of each class as arrays: `x`,
            `residual`, `y`, `target`, and `exact` if it is known.

        Raises:
            ValueError: if the estimator returns NaN, or does not fit the data.
        """
        target = targets(whole.y, self.data.num_classes, self.seed)
        started = time.perf_counter()
        residual = self._residuals(self.estimator, whole, target)
        drawing, nearest = time.perf_counter() - started, None
        if self.nearest is not None:
            same = described_estimator(self.nearest) == described_estimator(self.estimator)
            nearest = residual if same else self._residuals(self.nearest, whole, target)
        both = {"index": whole.indices, "label": whole.y, "target": target}
        outcomes = []
        for quantity in self.wanted():
            started = time.perf_counter()
            found = self._found(quantity, whole, residual, target, nearest)
            seconds = drawing + time.perf_counter() - started
            told = {name: value for name, value in found._asdict().items() if name != "columns"}
            record = self._record(quantity, subject, **told, samples=len(whole.y), seconds=seconds)
            frame = pd.DataFrame({key: column.numpy() for key, column in (both | {**found.columns}).items()})
            outcomes.append((record, frame))
        return outcomes, _examples(self.data, whole, target, residual)

    def _found(
        self, quantity: Quantity, whole: Batch, residual: Tensor, target: Tensor, nearest: Tensor | None
    ) -> numbers.Found:
        if quantity.kind == SIMILARITY and self.data.exact_residual is not None:
            return numbers.similarity(residual, self.data.exact_residual(whole.x, whole.y, target))
        if quantity.kind == LENGTH_RATIO and nearest is not None:
            return numbers.length_ratio(residual, nearest)
        if quantity.kind == ENERGY:
            return numbers.energy(whole, residual, target, nearest, self.seed)
        if quantity.kind == CYCLE:
            moved = Batch(whole.x + residual, target, whole.indices)
            return numbers.cycle(residual, self._residuals(self.estimator, moved, whole.y))
        if quantity.kind == NORM:
            return numbers.norm(residual)
        return self._share(judged_by(self.judge, {"seed": self.seed})[quantity], whole.x + residual, target)

    def _record(self, quantity: Quantity, subject: Subject, **found: Any) -> Record:
        return Record(self.model, quantity, subject, **found, provenance=provenance(self.device))

    def _residuals(self, estimator: ResidualEstimator, whole: Batch, target: Tensor) -> Tensor:
        """Δ̂x of all samples, on the CPU."""

        def found(chosen: Tensor) -> Tensor:
            x, y, indices = (part[chosen].to(self.device) for part in whole)
            return for_samples(estimator, indices)(x, y, target[chosen].to(self.device)).cpu()

        residual = self._dealt(len(whole.y), found)
        check_finite(residual, "residual")
        return residual

    def _dealt(self, count: int, found: Callable[[Tensor], Tensor]) -> Tensor:
        """What is found of so many samples, batch by batch, of which each process takes some."""
        batching = Batching(self.data.eval_batch_size)
        parts = torch.arange(count).split(batching.size)
        work = dealt(parts, lambda part: torch.cat(batching.over(part, found)), nn.Identity())
        return torch.cat([*work])

    def _share(self, judge: nn.Module, moved: Tensor, target: Tensor) -> numbers.Found:
        judge = judge.to(self.device)
        judged = self._dealt(len(moved), lambda chosen: predictions(judge, moved[chosen].to(self.device)).cpu())
        return numbers.target_share(judged, target)


def _examples(data: DataSet, whole: Batch, target: Tensor, residual: Tensor) -> dict[str, np.ndarray]:
    """The first sample of each class with everything a picture of it needs."""
    firsts = [int((whole.y == c).nonzero()[0]) for c in range(data.num_classes) if (whole.y == c).any()]
    chosen = torch.tensor(firsts[:ROWS])
    arrays = {"x": whole.x, "residual": residual, "y": whole.y, "target": target}
    if data.exact_residual is not None:
        arrays["exact"] = data.exact_residual(whole.x, whole.y, target)
    kept = {name: array[chosen].numpy() for name, array in arrays.items()}
    return kept | {"bounds": np.array(data.bounds), "classes": np.array(data.classes)}

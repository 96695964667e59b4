"""How good a residual estimator is: by the truth where it is known, and in the eyes of an independent classifier."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor, nn

from alignment import cosine_similarity
from alignment.contracts import check_finite
from eval.attacks.verdict import predictions
from eval.records.estimators import described_estimator
from eval.records.intervals import Interval, mean_interval, share_interval
from eval.records.keeper import keeper_for
from eval.records.provenance import provenance
from eval.records.quantity import Quantity
from eval.records.record import Record
from eval.records.residual_grid import grid_quantity, residual_grid
from eval.records.store import ModelFolder
from eval.records.subject import Model, Subject, chosen_samples
from eval.robustness.batching import Batching
from eval.robustness.dealing import dealt
from eval.robustness.median import median_interval
from generators import ResidualEstimator
from generators.checkpoints import digest as weights_digest
from generators.store import for_samples
from training import load_classifier
from training.data import Batch, DataSet, SplitName
from training.seeds import generator_for

SIMILARITY, TARGET_SHARE, NORM = "residual_similarity", "residual_target_share", "residual_norm"
"""Names of the three numbers."""
ROWS = 10
"""Samples that are kept as examples, one per class."""


def targets(y: Int[Tensor, " B"], classes: int, seed: int = 0) -> Int[Tensor, " B"]:
    """Another class for every sample: the only one of two, else one that is drawn.

    Example:
        >>> targets(torch.tensor([0, 1, 0]), 2)
        tensor([1, 0, 1])
    """
    return (y + torch.randint(1, classes, y.shape, generator=generator_for(seed, "targets"))) % classes


def load_judge(checkpoint: str | Path, data: DataSet) -> nn.Module:
    """The classifier that judges estimators of a data set.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no checkpoint of ours, or was made for other inputs or classes.
    """
    fits: dict[str, Any] = {"num_classes": data.num_classes, "shape": data.shape, "bounds": data.bounds}
    return load_classifier(checkpoint=checkpoint, **fits)


@dataclass(frozen=True)
class EstimatorQuality:
    """How good an estimator is, to be measured: sim(Δx, Δ̂x), the share of x̂' of the target class, median ‖Δ̂x‖₂.

    Args:
        estimator: what is measured.
        data: the data set.
        model: how it is called.
        judge: a classifier that had no part in the estimator's training; without one there is no share.
        split: of the data set.
        limit: only that many samples, the first ones; None for all.
        device: to work on.
        seed: of the target classes, where there are several.
        training: how the estimator was made, for the records.
    """

    estimator: ResidualEstimator
    data: DataSet
    model: Model
    judge: nn.Module | None = None
    split: SplitName = "test"
    limit: int | None = None
    device: str | torch.device = "cpu"
    seed: int = 0
    training: Mapping[str, Any] = field(default_factory=dict)

    def wanted(self) -> dict[str, Quantity]:
        """The numbers that can be measured, by kind."""
        settings: dict[str, Any] = {"seed": self.seed}
        found = {SIMILARITY: Quantity(SIMILARITY, settings=settings)} if self.data.exact_residual else {}
        if self.judge is not None:
            judged = settings | {"judge": weights_digest(self.judge)}
            found[TARGET_SHARE] = Quantity(TARGET_SHARE, settings=judged)
        return found | {NORM: Quantity(NORM, settings=settings)}

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
        recorded = {kind: keep(partial(folder.find, quantity, subject)) for kind, quantity in wanted.items()}
        grid = self._grid(whole, subject, folder)
        if all(recorded.values()):
            return [*(record for record in recorded.values() if record is not None), grid]
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
            Records, each with a table of one row per sample: the mean cosine over samples where both vectors have a
            direction, if Δx is known; the share, if there is a judge; the median norm. And the first sample of each
            class as arrays: `x`, `residual`, `y`, `target`, and `exact` if it is known.

        Raises:
            ValueError: if the estimator returns NaN, or does not fit the data.
        """
        started = time.perf_counter()
        target = targets(whole.y, self.data.num_classes, self.seed)
        residual = self._residuals(whole, target)
        found = {NORM: self._norm(residual)}
        if self.data.exact_residual is not None:
            exact = self.data.exact_residual(whole.x, whole.y, target)
            found[SIMILARITY] = _similarity(residual, exact)
        if self.judge is not None:
            found[TARGET_SHARE] = self._share(whole, residual, target)
        seconds = time.perf_counter() - started
        both = {"index": whole.indices, "label": whole.y, "target": target}
        outcomes = []
        for kind, quantity in self.wanted().items():
            value, interval, columns, invalid = found[kind]
            record = self._record(
                quantity,
                subject,
                value=value,
                samples=len(whole.y),
                invalid=invalid,
                interval=interval,
                forward_passes=len(whole.y) if kind == TARGET_SHARE else 0,
                seconds=seconds,
            )
            frame = pd.DataFrame({key: column.numpy() for key, column in (both | columns).items()})
            outcomes.append((record, frame))
        return outcomes, _examples(self.data, whole, target, residual)

    def _record(self, quantity: Quantity, subject: Subject, **found: Any) -> Record:
        return Record(self.model, quantity, subject, **found, provenance=provenance(self.device))

    def _residuals(self, whole: Batch, target: Tensor) -> Tensor:
        """Δ̂x of all samples, on the CPU."""

        def found(chosen: Tensor) -> Tensor:
            x, y, indices = (part[chosen].to(self.device) for part in whole)
            return for_samples(self.estimator, indices)(x, y, target[chosen].to(self.device)).cpu()

        residual = self._dealt(len(whole.y), found)
        check_finite(residual, "residual")
        return residual

    def _dealt(self, count: int, found: Callable[[Tensor], Tensor]) -> Tensor:
        """What is found of so many samples, batch by batch, of which each process takes some."""
        batching = Batching(self.data.eval_batch_size)
        parts = torch.arange(count).split(batching.size)
        work = dealt(parts, lambda part: torch.cat(batching.over(part, found)), nn.Identity())
        return torch.cat([*work])

    def _norm(self, residual: Tensor) -> "_Found":
        norm = residual.flatten(1).norm(dim=1)
        return float(norm.median()), median_interval(norm.numpy(), norm.numpy()), {"norm": norm}, 0

    def _share(self, whole: Batch, residual: Tensor, target: Tensor) -> "_Found":
        assert self.judge is not None
        judge, moved = self.judge.to(self.device), whole.x + residual
        judged = self._dealt(len(moved), lambda chosen: predictions(judge, moved[chosen].to(self.device)).cpu())
        hits = judged == target
        interval = share_interval(int(hits.sum()), len(hits))
        return float(hits.double().mean()), interval, {"judged": judged}, 0


_Found = tuple[float, Interval, dict[str, Tensor], int]
"""A number, its interval, its columns of the table per sample, and how many samples were left out."""


def _similarity(residual: Tensor, exact: Tensor) -> _Found:
    cosine, valid = cosine_similarity(residual, exact)
    chosen = cosine[valid].double()
    columns = {"cosine": cosine, "valid": valid}
    return float(chosen.mean()), mean_interval(chosen.numpy()), columns, int((~valid).sum())


def _examples(data: DataSet, whole: Batch, target: Tensor, residual: Tensor) -> dict[str, np.ndarray]:
    """The first sample of each class with everything a picture of it needs."""
    firsts = [int((whole.y == c).nonzero()[0]) for c in range(data.num_classes) if (whole.y == c).any()]
    chosen = torch.tensor(firsts[:ROWS])
    arrays = {"x": whole.x, "residual": residual, "y": whole.y, "target": target}
    if data.exact_residual is not None:
        arrays["exact"] = data.exact_residual(whole.x, whole.y, target)
    kept = {name: array[chosen].numpy() for name, array in arrays.items()}
    return kept | {"bounds": np.array(data.bounds), "classes": np.array(data.classes)}

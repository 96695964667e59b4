"""How good a residual estimator is: by the truth where it is known, and in the eyes of an independent classifier."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor, nn

from alignment import cosine_similarity
from alignment.contracts import check_finite
from eval.attacks.verdict import predictions
from eval.records.results import Model, Record, Results, provenance
from eval.robustness.passes import CountPasses
from generators import ResidualEstimator
from generators.store import for_samples
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


def residual_quality(
    estimator: ResidualEstimator,
    data: DataSet,
    model: Model,
    *,
    judge: nn.Module | None = None,
    split: SplitName = "test",
    limit: int | None = None,
    device: str | torch.device = "cpu",
    seed: int = 0,
    training: Mapping[str, Any] | None = None,
) -> tuple[list[tuple[Record, pd.DataFrame]], dict[str, np.ndarray]]:
    """Measure an estimator: sim(Δx, Δ̂x), the share of x̂' of the target class, and the median ‖Δ̂x‖₂.

    Args:
        estimator: what is measured.
        data: the data set.
        model: what the records are about.
        judge: a classifier that had no part in the estimator's training; without one there is no share.
        split: of the data set.
        limit: only that many samples, the first ones; None for all.
        device: to work on.
        seed: of the target classes, where there are several.
        training: how the estimator was made, for the records.

    Returns:
        Records, each with a table of one row per sample: the mean cosine over samples where both vectors have a
        direction, if Δx is known; the share, if there is a judge; the median norm. And the first sample of each
        class as arrays: `x`, `residual`, `y`, `target`, and `exact` if it is known.

    Raises:
        ValueError: if the estimator answers NaN, or does not fit the data.
    """
    started = time.perf_counter()
    samples = data.split(split)
    count = len(samples) if limit is None else min(limit, len(samples))
    whole = samples.__getitems__(range(count))
    target = targets(whole.y, data.num_classes, seed)
    found = []
    for chosen in torch.arange(count).split(data.eval_batch_size):
        x, y, indices = (part[chosen].to(device) for part in whole)
        found.append(for_samples(estimator, indices)(x, y, target[chosen].to(device)).cpu())
    residual = torch.cat(found)
    check_finite(residual, "residual")

    columns: dict[str, dict[str, Tensor]] = {}
    values: dict[str, float] = {}
    invalid, passes = 0, 0
    if data.exact_residual is not None:
        cosine, valid = cosine_similarity(residual, data.exact_residual(whole.x, whole.y, target))
        columns[SIMILARITY] = {"cosine": cosine, "valid": valid}
        values[SIMILARITY], invalid = float(cosine[valid].double().mean()), int((~valid).sum())
    if judge is not None:
        counted = CountPasses(judge.to(device))
        moved = (whole.x + residual).split(data.eval_batch_size)
        judged = torch.cat([predictions(counted, part.to(device)).cpu() for part in moved])
        columns[TARGET_SHARE] = {"judged": judged}
        values[TARGET_SHARE], passes = float((judged == target).double().mean()), counted.forward_passes

    columns[NORM] = {"norm": residual.flatten(1).norm(dim=1)}
    values[NORM] = float(columns[NORM]["norm"].median())

    settings: dict[str, Any] = {"split": split, "limit": limit, "seed": seed}
    settings |= {"estimator": {"name": estimator.name, "digest": estimator.digest, **estimator.settings}}
    seconds = time.perf_counter() - started
    both = {"index": whole.indices, "label": whole.y, "target": target}
    outcomes = []
    for name, value in values.items():
        record = Record(
            model=model,
            measurement=name,
            value=value,
            samples=count,
            invalid=invalid if name == SIMILARITY else 0,
            settings=settings,
            forward_passes=passes if name == TARGET_SHARE else 0,
            backward_passes=0,
            seconds=seconds,
            training=training or {},
            provenance=provenance(),
        )
        frame = pd.DataFrame({key: column.numpy() for key, column in (both | columns[name]).items()})
        outcomes.append((record, frame))
    return outcomes, _examples(data, whole, target, residual)


def take_quality(
    results: Results, estimator: ResidualEstimator, data: DataSet, model: Model, **options: Any
) -> list[Record]:
    """Measure an estimator as `residual_quality` does, and write what was found; the norms, last, mark the end."""
    outcomes, examples = residual_quality(estimator, data, model, **options)
    results.write_examples(model, examples)
    for record, per_sample in outcomes:
        results.write(record, per_sample)
    return [record for record, _ in outcomes]


def _examples(data: DataSet, whole: Batch, target: Tensor, residual: Tensor) -> dict[str, np.ndarray]:
    """The first sample of each class with everything a picture of it needs."""
    firsts = [int((whole.y == c).nonzero()[0]) for c in range(data.num_classes) if (whole.y == c).any()]
    chosen = torch.tensor(firsts[:ROWS])
    arrays = {"x": whole.x, "residual": residual, "y": whole.y, "target": target}
    if data.exact_residual is not None:
        arrays["exact"] = data.exact_residual(whole.x, whole.y, target)
    kept = {name: array[chosen].numpy() for name, array in arrays.items()}
    return kept | {"bounds": np.array(data.bounds), "classes": np.array(data.classes)}

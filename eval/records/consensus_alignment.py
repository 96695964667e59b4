"""α_Δx by a consensus of residual estimators, with an interval that includes them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from alignment import AlphaDx
from alignment.double import exactly
from eval.records.estimator_interval import Parts, corrected, interval_over_estimators
from eval.records.outcome import Outcome, outcomes_of
from eval.records.per_sample import in_batches
from generators import Consensus, for_samples, mutual_cosine
from training.data import Batch

OVER = "interval_over"
"""Where a record says what its interval is over, if not samples alone."""
SAMPLES_AND_ESTIMATORS = "samples and estimators"


def consensus_alignment(
    consensus: Consensus, options: Mapping[str, Any], classifier: nn.Module, batches: Iterable[Batch]
) -> Outcome:
    """α_Δx by the consensus, with an interval over samples and estimators.

    Args:
        consensus: of estimators.
        options: of `alignment.AlphaDx`.
        classifier: that is measured.
        batches: of samples.

    Returns:
        The mean cosine over samples that have a direction, NaN without any; per sample the cosine, that of each
        estimator, and their mutual cosine. In the details α_Δx by each estimator, the same corrected, and the mean
        mutual cosine.
    """
    names, weights = _names(consensus), np.array(consensus.weights)

    def measured(batch: Batch) -> tuple[Tensor, ...]:
        return _of_batch(consensus, options, classifier, batch)

    value, marks, mutual, dots, gram = (part.cpu() for part in in_batches(batches, measured, classifier))
    valid = marks.bool()
    every = Parts(dots.numpy(), gram.numpy())
    parts = Parts(*(part[valid.numpy()] for part in every))
    members = torch.from_numpy(every.of_members())
    columns = {f"cosine_{name}": members[:, number] for number, name in enumerate(names)}
    frame = outcomes_of(batches, cosine=value, valid=valid, **columns, mutual_cosine=mutual)
    # By PyTorch, of which the mean of no samples is NaN without a warning.
    alphas, agreement = (torch.from_numpy(of).mean(dim=0).numpy() for of in (parts.of_members(), parts.mutual()))
    details = {
        OVER: SAMPLES_AND_ESTIMATORS,
        "alpha_by_estimator": dict(zip(names, alphas.tolist(), strict=True)),
        "alpha_corrected": float(corrected(alphas[None], agreement[None], np.ones(len(names), dtype=int))[0]),
        "mutual_cosine": float(mutual[valid].mean()),
    }
    interval = interval_over_estimators(parts, weights)
    return Outcome(float(value[valid].mean()), frame, interval, int((~valid).sum()), details)


def _of_batch(
    consensus: Consensus, options: Mapping[str, Any], classifier: nn.Module, batch: Batch
) -> tuple[Tensor, ...]:
    """Cosine, validity and mutual cosine of the consensus, and of its estimators what `Parts` holds."""
    asked: Any = for_samples(consensus, batch.indices)
    found: list[Tensor] = []

    def mean(x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        found[:] = asked.of_members(x, y, target)  # asked once: they may search
        return consensus.mean(torch.stack(found))

    def member(number: int) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        return lambda x, y, target: found[number]

    whole = AlphaDx(mean, **options).similarity(classifier, batch.x, batch.y)
    by_member = [AlphaDx(member(number), **options) for number in range(len(found))]
    members = [metric.similarity(classifier, batch.x, batch.y).value for metric in by_member]
    residuals = exactly(torch.stack(found)).flatten(2).transpose(0, 1)
    gram = residuals @ residuals.transpose(1, 2)
    dots = exactly(torch.stack(members, dim=1)) * gram.diagonal(dim1=1, dim2=2).sqrt()
    columns = (whole.value, whole.valid, mutual_cosine(torch.stack(found)))
    return *map(exactly, columns), dots, gram


def _names(consensus: Consensus) -> list[str]:
    """Of the estimators; those of one name are told apart by their number."""
    names = [member.name for member in consensus.members]
    return [
        f"{name} {names[: number + 1].count(name)}" if names.count(name) > 1 else name
        for number, name in enumerate(names)
    ]

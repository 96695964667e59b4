"""Mean cosines over the samples of a classifier's batches."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from alignment import AlphaDx, AlphaX
from alignment.double import exactly
from alignment.similarity import Similarity
from eval.records.intervals import mean_interval
from eval.records.outcome import Outcome, outcomes_of
from eval.robustness.batching import Batching
from eval.robustness.dealing import dealt, to_send
from training.data import Batch

Result = TypeVar("Result")


def mean_cosine(
    metric_for: Callable[[Batch], AlphaDx | AlphaX], classifier: nn.Module, batches: Iterable[Batch]
) -> Outcome:
    """The mean over samples that have a direction, with its interval over them."""

    def cosines(batch: Batch) -> Similarity:
        return metric_for(batch).similarity(classifier, batch.x, batch.y)

    found = Similarity(*in_batches(batches, cosines, classifier))
    # In one transfer, in float64, which holds every float32 and both truth values.
    values, marks = torch.stack([exactly(part) for part in found]).cpu()
    values, valid = values.to(found.value.dtype), marks.bool()
    chosen = values[valid].double()
    frame = outcomes_of(batches, cosine=values, valid=valid)
    return Outcome(float(chosen.mean()), frame, mean_interval(chosen.numpy()), int((~valid).sum()))


def in_batches(
    batches: Iterable[Batch], measured: Callable[[Batch], tuple[Tensor, ...]], classifier: nn.Module
) -> list[Tensor]:
    """What is measured on batches, in halves where they do not fit into memory; each process takes some of them."""

    def found(batch: Batch) -> tuple[Tensor, ...]:
        rows = torch.arange(len(batch.y), device=batch.y.device)
        halves = Batching(max(len(rows), 1)).over(rows, partial(_measured_at, measured, batch))
        return tuple(to_send(torch.cat(parts)) for parts in zip(*halves, strict=True))

    given = batches if isinstance(batches, Sequence) else [*batches]
    return [torch.cat(parts) for parts in zip(*dealt(given, found, classifier), strict=True)]


def _measured_at(measured: Callable[[Batch], Result], batch: Batch, rows: Tensor) -> Result:
    return measured(Batch(*(part[rows] for part in batch)))

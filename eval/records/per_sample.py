"""What is found of every sample, batch by batch, and its mean over those that have a direction."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from alignment.double import exactly
from alignment.similarity import Similarity
from eval.records.intervals import mean_interval
from eval.records.outcome import Outcome, outcomes_of
from eval.robustness.batching import Batching
from eval.robustness.dealing import dealt, to_send
from training.data import Batch

Result = TypeVar("Result")


def mean_cosine(
    cosines: Callable[[Batch], Similarity],
    classifier: nn.Module,
    batches: Iterable[Batch],
    *,
    column: str = "cosine",
    details: Mapping[str, Any] | None = None,
) -> Outcome:
    """Mean of what is found of each sample, over those that have a direction, with its interval.

    Args:
        cosines: of a batch, and which are valid.
        classifier: that is measured.
        batches: of samples.
        column: under which the numbers stand per sample.
        details: for the record.
    """
    found = Similarity(*in_batches(batches, cosines, classifier))
    # In one transfer, in float64, which holds every float32 and both truth values.
    values, marks = torch.stack([exactly(part) for part in found]).cpu()
    values, valid = values.to(found.value.dtype), marks.bool()
    chosen = values[valid].double()
    frame = outcomes_of(batches, **{column: values, "valid": valid})
    interval = mean_interval(chosen.numpy())
    return Outcome(float(chosen.mean()), frame, interval, int((~valid).sum()), details or {})


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

"""The samples that are measured, in batches: held in memory where they are few, else read each time."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import DataLoader

from training.data import Batch, DataSet, Split
from training.data.split import as_it_is, labels_of

CPU = torch.device("cpu")
IN_MEMORY = 2**30
"""Bytes in float32 up to which samples are held in memory; more are read for each measurement."""


@dataclass(frozen=True)
class ReadBatches(Sequence[Batch]):
    """Batches that are read from a split whenever they are asked for, so that one of them is in memory at a time.

    Attributes:
        split: of a data set.
        rows: numbers of the samples, in their order.
        size: samples in a batch.
        workers: processes that read.
        device: that batches are sent to.
    """

    split: Split
    rows: Sequence[int]
    size: int
    workers: int = 0
    device: torch.device = CPU

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.size)

    @overload
    def __getitem__(self, number: int) -> Batch: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Batch]: ...
    def __getitem__(self, number: int | slice) -> Batch | Sequence[Batch]:
        if isinstance(number, slice):
            return [self[one] for one in range(len(self))[number]]
        start = range(0, len(self.rows), self.size)[number]
        return sent(self.split.__getitems__(self.rows[start : start + self.size]), self.device)

    def __iter__(self) -> Iterator[Batch]:
        loader: Iterable[Any] = DataLoader(
            self.split,
            batch_size=self.size,
            sampler=self.rows,
            num_workers=self.workers,
            collate_fn=as_it_is,
            generator=torch.Generator(),  # the iterator would otherwise draw from the global one
        )
        return (sent(batch, self.device) for batch in loader)

    def inputs(self, places: Int[Tensor, " K"]) -> Tensor:
        """The inputs of some samples, by their place among all; on the CPU."""
        rows = [self.rows[place] for place in places.tolist()]
        read = [
            self.split.__getitems__(rows[start : start + self.size]).x for start in range(0, len(rows), self.size)
        ]
        return torch.cat(read)  # a copy even of one, since a split in memory may hand out its own

    def marks(self) -> tuple[Int[Tensor, " N"], Int[Tensor, " N"]]:
        """Each sample's index in its split, and its label, without its input being read where that can be."""
        rows = torch.as_tensor(self.rows, dtype=torch.int64)
        return rows, labels_of(self.split)[rows]


def batches_of(data: DataSet, split: Split, rows: Sequence[int]) -> Sequence[Batch]:
    """The samples of some rows of a split, in the batches in which the data set is evaluated."""
    read = ReadBatches(split, rows, data.eval_batch_size, data.workers)
    return read if 4 * len(rows) * math.prod(data.shape) > IN_MEMORY else [*read]


def on_device(batches: Sequence[Batch], device: torch.device) -> Sequence[Batch]:
    """The same batches where a classifier is."""
    if isinstance(batches, ReadBatches):
        return replace(batches, device=device)
    return [sent(batch, device) for batch in batches]


def at_rest(batches: Iterable[Batch]) -> Iterable[Batch]:
    """The same batches for an attack, which reads again what is not held and sends it to the device itself."""
    return replace(batches, device=CPU) if isinstance(batches, ReadBatches) else batches


def marks(batches: Iterable[Batch]) -> tuple[Int[Tensor, " N"], Int[Tensor, " N"]]:
    """Each sample's index in its split, and its label."""
    if isinstance(batches, ReadBatches):
        return batches.marks()
    both = [(batch.indices, batch.y) for batch in batches]
    indices, labels = (torch.cat(parts) for parts in zip(*both, strict=True))
    return indices, labels


def sent(batch: Batch, device: torch.device) -> Batch:
    """A batch on a device."""
    return Batch(*(part.to(device) for part in batch))

"""Batches and items that come one after another, held in memory as they are."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from training.data.foreign.reading import Reading
from training.data.foreign.steadiness import PROBES, randomness_kept

SAMPLES = 10_000
"""Of a stream that are held."""
BYTES = 2 * 2**30
"""They take in memory at most."""

Sample = tuple[Tensor, int | str]


class HeldItems(Dataset[Sample]):
    """Samples in memory; bytes stay bytes.

    Args:
        samples: inputs and labels.
        notes: what a user should know.
        names: of classes, if they are known.
    """

    def __init__(self, samples: list[Sample], notes: list[str], names: Any = None) -> None:
        self.samples, self.notes, self.classes = samples, notes, names

    @property
    def targets(self) -> list[int | str]:
        """The labels."""
        return [label for _, label in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def held(stream: Iterable[Any], reading: Reading, source: str) -> HeldItems:
    """The samples of batches or items that come one after another.

    Args:
        stream: a list of batches, an IterableDataset, a loader of one, or any other iterable. A list is in memory
            already; of anything else at most `SAMPLES` are taken.
        reading: how an item or a batch becomes inputs and labels.
        source: of the stream, for messages.

    Raises:
        ValueError: if there is no sample, or more than can be held.
    """
    notes: list[str] = []
    samples: list[Sample] = []
    size = 0
    with randomness_kept():
        for values, label in _samples(stream, reading):
            samples.append((values, label))
            size += values.nbytes
            if not isinstance(stream, list) and (len(samples) > SAMPLES or size > BYTES):
                raise ValueError(
                    f"{source}: a stream should end after at most {SAMPLES:,} samples and {BYTES >> 30} GiB, since "
                    "it cannot be read in any order and is held in memory. Found more. Give the first ones, "
                    "`list(itertools.islice(stream, 1000))`, or a data set with `__getitem__` and `__len__`."
                )
        if not isinstance(stream, list) and iter(stream) is not stream and not _repeats(stream, reading, samples):
            notes.append("the stream is another one each time it is read: these are the samples of one reading")
    if not samples:
        raise ValueError(f"{source}: should hold at least one sample. Found none.")
    return HeldItems(samples, notes, getattr(stream, "classes", None))


def _samples(stream: Iterable[Any], reading: Reading) -> Iterator[Sample]:
    """One sample after another, of batches or of items."""
    for element in stream:
        inputs, labels = reading.parts(element)
        if _is_batch(inputs, labels):
            several: Iterable[Any] = zip(inputs, labels, strict=True)
        else:
            several = [(inputs, labels)]
        for sample in several:
            yield reading.values(sample), reading.label_of(sample)


def _is_batch(inputs: Any, labels: Any) -> bool:
    """Whether there is one label for each of several inputs."""
    if isinstance(labels, str | bytes) or not hasattr(labels, "__len__") or getattr(labels, "ndim", 1) == 0:
        return False
    return hasattr(inputs, "__len__") and len(inputs) == len(labels)


def _repeats(stream: Iterable[Any], reading: Reading, samples: list[Sample]) -> bool:
    """Whether the first samples are the same when they are read again."""
    again = islice(_samples(stream, reading), PROBES)
    pairs = [(*one, *other) for one, other in zip(samples, again, strict=False)]
    return all(torch.equal(x, x2) and y == y2 for x, y, x2, y2 in pairs)

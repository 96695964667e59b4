"""Samples of a split: in memory, on a GPU, or read when they are asked for."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from training.seeds import derived_seed

SplitName = Literal["train", "validation", "test"]
"""A part of a data set: what trains, what chooses the epoch, and what is reported."""
Bounds = tuple[float, float]

ROOM = 0.2
"""Of a GPU's free memory, how much the samples of a split may take to be kept there."""

READ_AT_ONCE = 1024
"""Samples that are read together where labels are known only from the samples themselves."""


class Batch(NamedTuple):
    """Inputs in the data's own range, true classes, and each sample's index in its split."""

    x: Float[Tensor, "B *shape"]
    y: Int[Tensor, " B"]
    indices: Int[Tensor, " B"]


class Split(Dataset[Batch]):
    """Samples held in memory; bytes stay bytes and are mapped to the bounds when they are asked for.

    Args:
        images: uint8, `(N, *shape)`, mapped from [0, 255] to `bounds`; or float32 already within them.
        labels: `(N,)` in [0, classes).
        bounds: lowest and highest legal value of an input.
    """

    def __init__(self, images: Shaped[Tensor, "N *shape"], labels: Shaped[Tensor, " N"], bounds: Bounds) -> None:
        self.images, self.labels, self.bounds = images, labels.long(), bounds

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """A batch by indices; what a DataLoader asks for."""
        index = self._where_images_are(torch.as_tensor(indices, dtype=torch.int64))
        images = self.images[index]
        if images.dtype == torch.uint8:
            images = from_bytes(images, self.bounds)
        return Batch(images, self.labels[index], index)

    def near(self, device: torch.device) -> "Split":
        """The same samples in a GPU's memory, if they lie in memory and it has ample room; else as they are."""
        if type(self) is not Split or self.images.nbytes > ROOM * torch.cuda.mem_get_info(device)[0]:
            return self
        return OnDevice(self, device)

    def _where_images_are(self, index: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        return index

    def set_epoch(self, seed: int, epoch: int) -> None:
        """Samples in memory are the same in every epoch."""

    def order(self, seed: int, epoch: int) -> list[int]:
        """The order in which an epoch visits the samples."""
        generator = torch.Generator().manual_seed(derived_seed(seed, "order", epoch))
        return torch.randperm(len(self), generator=generator).tolist()


class OnDevice(Split):
    """The same samples in the memory of a GPU, so that no batch has to be sent there.

    Args:
        split: with all its samples in memory; left where it is.
        device: that has room for them.
    """

    def __init__(self, split: Split, device: torch.device) -> None:
        super().__init__(split.images.to(device), split.labels.to(device), split.bounds)

    def _where_images_are(self, index: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        return sent(index, self.images.device)


def sent(index: Int[Tensor, " B"], device: torch.device) -> Int[Tensor, " B"]:
    """Indices on a device, without waiting for it."""
    if device.type != "cuda" or index.device == device:
        return index.to(device)
    # From pinned memory the copy is queued. From any other, the host would wait for all that is queued before it.
    return index.pin_memory().to(device, non_blocking=True)


class LazySplit(Split):
    """Samples that are read when they are asked for, so that no more than a batch is in memory: derive from it.

    Args:
        labels: `(N,)` in [0, classes).
        bounds: lowest and highest legal value of an input.
    """

    def __init__(self, labels: Shaped[Tensor, " N"], bounds: Bounds) -> None:
        self.labels, self.bounds = labels.long(), bounds

    def read(self, indices: Sequence[int]) -> Shaped[Tensor, "B *shape"]:
        """The samples of some indices: uint8, mapped from [0, 255] to the bounds; or float32 within them."""
        raise NotImplementedError

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """A batch by indices."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        samples = self.read(index.tolist())
        x = from_bytes(samples, self.bounds) if samples.dtype == torch.uint8 else samples
        return Batch(x, self.labels[index], index)


def from_bytes(images: UInt8[Tensor, "*shape"], bounds: Bounds) -> Float[Tensor, "*shape"]:
    """Bytes mapped from [0, 255] to the bounds, which are met exactly."""
    share = images.float().div_(255)
    low, high = bounds
    return torch.lerp(torch.full_like(share, low), torch.full_like(share, high), share)


def labels_of(split: Split) -> Int[Tensor, " N"]:
    """The labels of a split, which is read for them only where it does not hold them."""
    known = getattr(split, "labels", None)
    if known is not None:
        return known.cpu()
    parts: Sequence[range] = [
        range(start, min(start + READ_AT_ONCE, len(split))) for start in range(0, len(split), READ_AT_ONCE)
    ]
    return torch.cat([split.__getitems__(part).y for part in parts])


def as_it_is(batch: Any) -> Any:
    """What a DataLoader collates where `__getitems__` returns whole batches."""
    return batch

"""What a data set is: samples in splits, with everything an attack and a metric must know about them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from inspect import signature
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int, Shaped, UInt8
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from generators import ExactResidual, NearestExample, ResidualEstimator, load_estimator
from training.data.augmentation import Augmentation
from training.seeds import derived_seed

SplitName = Literal["train", "validation", "test"]
Bounds = tuple[float, float]

ROOM = 0.2
"""Of a GPU's free memory, how much the samples of a split may take to be kept there."""

HALVES = {"nearest": slice(None), "nearest-even": slice(0, None, 2), "nearest-odd": slice(1, None, 2)}
"""Which training examples the nearest one is looked for among."""


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
        # From pinned memory the copy is queued. From any other, the host would wait for all that is queued before it.
        return index.pin_memory().to(self.images.device, non_blocking=True)


def from_bytes(images: UInt8[Tensor, "*shape"], bounds: Bounds) -> Float[Tensor, "*shape"]:
    """Bytes mapped from [0, 255] to the bounds, which are met exactly."""
    share = images.float().div_(255)
    low, high = bounds
    return torch.lerp(torch.full_like(share, low), torch.full_like(share, high), share)


class EpochOrder(DistributedSampler[int]):
    """Visits a split in an order that depends on seed and epoch alone, so that a resumed run repeats it.

    Several processes deal the order out among them in turn, as cards: their k-th batches together are the k-th batch
    of one process with as many times the batch size. Lightning leaves a distributed sampler as it is.
    """

    def __init__(self, split: Split, seed: int, rank: int = 0, processes: int = 1) -> None:
        super().__init__(split, num_replicas=processes, rank=rank)
        self.split, self.seed = split, seed

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before every epoch."""
        super().set_epoch(epoch)
        self.split.set_epoch(self.seed, epoch)

    def __iter__(self) -> Iterator[int]:
        order = self.split.order(self.seed, self.epoch)
        even = islice(cycle(order), self.total_size)  # as long for every process
        return islice(even, self.rank, None, self.num_replicas)


class DataSet(LightningDataModule):
    """Base of all data sets. A subclass sets the attributes and makes its splits.

    Attributes:
        name: as it stands in tables.
        bounds: lowest and highest legal value of an input; infinite where there is none.
        classes: their names, in the order of the labels.
        shape: of one input.
        exact_residual: Δx where it is known, else None.
        augmentation: what happens to training batches, else None.
        arguments: what it was made with, by name, defaults included.

    Args:
        batch_size: samples per training step.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples.
        workers: processes that prepare batches.
    """

    name: str
    bounds: Bounds = (-1.0, 1.0)
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    exact_residual: ExactResidual | None = None
    augmentation: Augmentation | None = None
    arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> "DataSet":
        """Remember what the data set was made with, defaults included, as a part of its identity."""
        data = super().__new__(cls)
        with suppress(TypeError):  # of wrong arguments, which __init__ refuses in its own words
            bound = signature(cls.__init__).bind(data, *args, **kwargs)
            bound.apply_defaults()
            data.arguments = dict([*bound.arguments.items()][1:])
        return data

    def __init__(self, batch_size: int = 64, eval_batch_size: int = 512, seed: int = 0, workers: int = 0) -> None:
        super().__init__()
        for argument, value in (("batch_size", batch_size), ("eval_batch_size", eval_batch_size)):
            if value < 1:
                raise ValueError(f"`{argument}` should be at least 1. Found {value}.")
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.seed, self.workers = seed, workers
        self._splits: dict[SplitName, Split] = {}

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.classes)

    @property
    def augments(self) -> bool:
        """Whether a training step sees other images than those of the split, to which stored residuals belong."""
        return self.augmentation is not None

    def split(self, name: SplitName) -> Split:
        """The samples of a split; read or made once."""
        if name not in self._splits:
            self._splits[name] = self._split(name)
        return self._splits[name]

    def _split(self, name: SplitName) -> Split:
        raise NotImplementedError

    def residual(self, name: str | Mapping[str, Any], **options: Any) -> ResidualEstimator:
        """A residual estimator for this data set by name or from a file.

        Args:
            name: "exact"; "nearest", the nearest training example of the target class; "nearest-even" and
                "nearest-odd", the same with every other training example, so that one half can train and
                the other measure; "auto", exact where it is known, else nearest; or the path of a generator's
                checkpoint (.ckpt) or of a store of residuals (.h5). Or one of these with its options,
                `{"residual": "cgan.ckpt", "options": {"method": "ours"}}`.
            options: what the estimator of a file takes besides, see `generators.load_estimator`.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: for an unknown name, "exact" where Δx is not known, a file that belongs to other data, or
                options that the estimator does not take.
        """
        name, options = named_residual(name, options)
        if name.endswith((".ckpt", ".h5")):
            return load_estimator(name, data=self.name, shape=self.shape, num_classes=self.num_classes, **options)
        if name not in ("auto", "exact", *HALVES):
            raise ValueError(
                f"`residual` should be one of auto, exact, {', '.join(HALVES)}, or the path of a .ckpt or .h5 file. "
                f"Found {name!r}."
            )
        if name == "auto":
            name = "nearest" if self.exact_residual is None else "exact"
        return self._exact() if name == "exact" else self._nearest(name)

    def _exact(self) -> ExactResidual:
        if self.exact_residual is None:
            raise ValueError(f"`residual` 'exact' is not known for {self.name}. Try 'nearest'.")
        return self.exact_residual

    def _nearest(self, name: str) -> NearestExample:
        split = self.split("train")
        examples = split.__getitems__(range(len(split))[HALVES[name]])
        estimator = NearestExample(examples.x, examples.y)
        estimator.name = name
        return estimator

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of the training split in the order of the epoch."""
        split = self._near(self.split("train"))
        if self.trainer is None:
            order = EpochOrder(split, self.seed)
        else:
            order = EpochOrder(split, self.seed, self.trainer.global_rank, self.trainer.world_size)
            # Lightning builds a run's first iterator before it tells the epoch, and workers then copy the split.
            progress: Any = self.trainer.fit_loop.epoch_progress.current
            order.set_epoch(progress.processed)
        return self._loader(split, self.batch_size, order)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Batches of the validation split, in order."""
        return self._loader(self._near(self.split("validation")), self.eval_batch_size, None)

    def test_dataloader(self) -> DataLoader[Batch]:
        """Batches of the test split, in order."""
        return self.batches("test")

    def _near(self, split: Split) -> Split:
        """The split where the trainer's steps are taken, if it lies in memory and that device has ample room."""
        if self.trainer is None or self.workers or type(split) is not Split:
            return split
        device = self.trainer.strategy.root_device
        if device.type != "cuda" or split.images.nbytes > ROOM * torch.cuda.mem_get_info(device)[0]:
            return split
        return OnDevice(split, device)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Send a batch to a device, unless it is there already; called by Lightning."""
        if isinstance(batch, Batch) and batch.x.device == device:
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment a training batch, on the device where its step is taken; called by Lightning.

        The result depends on seed, epoch, number of the batch and process alone, so that a resumed run repeats it.
        """
        if self.augmentation is None or self.trainer is None or not self.trainer.training:
            return batch
        number = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        seed = derived_seed(self.seed, "augmentation", self.trainer.current_epoch, number, self.trainer.global_rank)
        return batch._replace(x=self.augmentation(batch.x, bounds=self.bounds, seed=seed))

    def batches(self, name: SplitName) -> DataLoader[Batch]:
        """Batches of a split, in order."""
        return self._loader(self.split(name), self.eval_batch_size, None)

    def _loader(self, split: Split, size: int, order: EpochOrder | None) -> DataLoader[Batch]:
        return DataLoader(
            split,
            batch_size=size,
            sampler=order,
            num_workers=self.workers,
            collate_fn=_as_it_is,
            # Its own randomness: the iterator would otherwise draw from the global one.
            generator=torch.Generator(),
        )


def named_residual(name: Any, options: Mapping[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
    """Name and options of a residual estimator, whichever way they are written.

    Args:
        name: a name or path, or `{"residual": …, "options": {…}}`.
        options: further ones.

    Raises:
        ValueError: for another form, or options of an estimator that is not read from a file and so takes none.

    Example:
        >>> named_residual({"residual": "cgan.ckpt", "options": {"method": "ours"}})
        ('cgan.ckpt', {'method': 'ours'})
    """
    given = dict(options or {})
    if isinstance(name, Mapping):
        inner = name.get("options") or {}
        if {*map(str, name)} - {"residual", "options"} or "residual" not in name or not isinstance(inner, Mapping):
            raise ValueError(f"`residual` should be a name, or hold `residual` and `options`. Found {dict(name)}.")
        name, given = name["residual"], {**inner, **given}
    if not isinstance(name, str):
        raise ValueError(f"`residual` should be a name or a path. Found {name!r}.")
    if given and name in ("auto", "exact", *HALVES):
        raise ValueError(f"`options` should be left out for {name!r}. Found {', '.join(sorted(given))}.")
    return name, given


def _as_it_is(batch: Any) -> Any:
    return batch


def check_samples(
    images: Shaped[Tensor, "N ..."],
    labels: Shaped[Tensor, " N2"],
    classes: int,
    bounds: Bounds,
    source: str | Path,
) -> None:
    """Refuse samples that cannot be right, naming the file and the remedy.

    Raises:
        ValueError: if images and labels differ in number, labels lie outside [0, classes), or floating-point
            images hold NaN or leave the bounds.
    """
    if len(images) != len(labels):
        raise ValueError(
            f"{source}: there should be one label per image. Found {len(images)} images and {len(labels)} labels."
        )
    if len(labels) and not (int(labels.min()) >= 0 and int(labels.max()) < classes):
        raise ValueError(
            f"{source}: labels should lie in [0, {classes}). Found values from {int(labels.min())} to "
            f"{int(labels.max())}. Number the classes from 0, or name all of them in `classes`."
        )
    if not images.dtype.is_floating_point:
        if not all(map(math.isfinite, bounds)):
            raise ValueError(f"{source}: images in bytes need finite `bounds` to be mapped to. Found {bounds}.")
        return
    for kind, bad in (("NaN", images.isnan()), ("infinite values", images.isinf())):
        if bad.any():
            raise ValueError(
                f"{source}: images should not hold {kind}. Found {int(bad.sum())}. Remove or impute them."
            )
    if images.numel() and (images.min() < bounds[0] or images.max() > bounds[1]):
        raise ValueError(
            f"{source}: images should lie within {bounds}. Found values from {float(images.min()):.6g} to "
            f"{float(images.max()):.6g}. Rescale them, or state their `bounds`."
        )


def shuffled(count: int, *parts: int | str) -> Int[Tensor, " N"]:
    """A fixed shuffle of [0, count)."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(derived_seed(*parts)))


def validation_divided(count: int, share: float, name: str) -> tuple[Int[Tensor, " N"], Int[Tensor, " M"]]:
    """Samples that stay for training and samples kept for validation, by a fixed shuffle.

    Args:
        count: number of samples.
        share: to keep for validation, at least one sample.
        name: of the data set, on which the shuffle depends.

    Raises:
        ValueError: if the share does not lie in (0, 1).
    """
    if not 0 < share < 1:
        raise ValueError(f"`validation_share` should lie in (0, 1). Found {share}.")
    order = shuffled(count, "validation", name)
    kept = max(1, int(count * share))
    return order[kept:], order[:kept]

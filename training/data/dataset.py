"""What a data set is: samples in splits, with everything an attack and a metric must know about them."""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from inspect import signature
from typing import Any, ClassVar

import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Sampler

from generators import ExactResidual, ResidualEstimator, load_estimator
from generators.biggan import projection_of
from generators.global_batch import portion_of_step
from training.data.augmentation import Augmentation
from training.data.order import EpochOrder, Share
from training.data.residuals import CONSENSUS, HALVES, named_residual, nearest_example
from training.data.split import Batch, Bounds, Split, SplitName, as_it_is
from training.seeds import derived_seed


class DataSet(LightningDataModule):
    """Base of all data sets. A subclass sets the attributes and makes its splits: `make_split`.

    Attributes:
        name: as it stands in tables.
        bounds: lowest and highest legal value of an input; infinite where there is none.
        classes: their names, in the order of the labels.
        shape: of one input.
        exact_residual: Δx where it is known, else None.
        augmentation: what happens to training batches, else None.
        notes: sentences on what was taken where nobody said it, such as the order of dimensions.
        arguments: what it was made with, by name, defaults included.
        later_arguments: those that it takes only since a later version, with what held before. At that value they
            are left out of `arguments`, so that what was recorded before is known again.

    Args:
        batch_size: samples per training step, of each process where several train together.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples.
        workers: processes that prepare batches.
    """

    name: str
    bounds: Bounds
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    exact_residual: ExactResidual | None = None
    augmentation: Augmentation | None = None
    notes: tuple[str, ...] = ()
    arguments: dict[str, Any]
    later_arguments: ClassVar[Mapping[str, Any]] = {}

    def __new__(cls, *args: Any, **kwargs: Any) -> "DataSet":
        """Remember what the data set was made with, defaults included, as a part of its identity."""
        data = super().__new__(cls)
        with suppress(TypeError):  # of wrong arguments, which __init__ refuses in its own words
            bound = signature(cls.__init__).bind(data, *args, **kwargs)
            bound.apply_defaults()
            given = dict([*bound.arguments.items()][1:])
            same = [name for name, before in cls.later_arguments.items() if given.get(name) == before]
            data.arguments = {name: value for name, value in given.items() if name not in same}
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
            self._splits[name] = self.make_split(name)
        return self._splits[name]

    def make_split(self, name: SplitName) -> Split:
        """The samples of a split, asked for once; every data set says here what they are."""
        raise NotImplementedError

    def residual(self, name: str | Mapping[str, Any], **options: Any) -> ResidualEstimator:
        """A residual estimator for this data set by name or from a file.

        Args:
            name: "exact"; "nearest", the nearest training example of the target class; "nearest-even" and
                "nearest-odd", the same with every other training example, so that one half can train and
                the other measure; "auto", exact where it is known, else nearest; or the path of a generator's
                checkpoint (.ckpt) or of a store of residuals (.h5); or, for ImageNet, biggan-deep-256, the published
                generator that paper 1 projects onto. Or one of these with its options,
                `{"residual": "cgan.ckpt", "options": {"method": "ours"}}`; or a consensus of several,
                `{"consensus": ["nearest", "direct.ckpt"], "judge": "judge.ckpt"}`, where the judge may be left out.
            options: what the estimator of a file takes besides, see `generators.load_estimator`; or the search for a
                nearest example, see `training.data.residuals.nearest_example`.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: for an unknown name, "exact" where Δx is not known, a file that belongs to other data, or
                options that the estimator does not take.
        """
        name, options = named_residual(name, options)
        if name == CONSENSUS:
            from training.consensus import consensus_of  # whose judge needs networks, which need no data

            return consensus_of(self, **options)
        if name.endswith((".ckpt", ".h5")):
            fits: dict[str, Any] = {"shape": self.shape, "num_classes": self.num_classes, "bounds": self.bounds}
            return load_estimator(name, data=self.name, **fits, **options)
        if name.startswith("biggan-"):
            return projection_of(name, shape=self.shape, num_classes=self.num_classes, bounds=self.bounds, **options)
        if name not in ("auto", "exact", *HALVES):
            raise ValueError(
                f"`residual` should be one of auto, exact, {', '.join(HALVES)}, or the path of a .ckpt or .h5 file. "
                f"Found {name!r}."
            )
        if name == "auto":
            name = "nearest" if self.exact_residual is None else "exact"
        return self._exact() if name == "exact" else nearest_example(self.split("train"), name, **options)

    def _exact(self) -> ExactResidual:
        if self.exact_residual is None:
            raise ValueError(f"`residual` 'exact' is not known for {self.name}. Try 'nearest'.")
        return self.exact_residual

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of the training split in the order of the epoch."""
        split = self._near(self.split("train"))
        if self.trainer is None:
            order = EpochOrder(split, self.seed, batch_size=self.batch_size)
        else:
            rank, processes = self.trainer.global_rank, self.trainer.world_size
            order = EpochOrder(split, self.seed, rank, processes, self.batch_size)
            # Lightning builds a run's first iterator before it tells the epoch, and workers then copy the split.
            progress: Any = self.trainer.fit_loop.epoch_progress.current
            order.set_epoch(progress.processed)
            if progress.processed < progress.ready:  # a checkpoint in the middle of an epoch was loaded
                done: Any = self.trainer.fit_loop.epoch_loop.batch_progress.current
                order.skip(self.batch_size * done.processed)
        return self._loader(split, self.batch_size, order)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Batches of the validation split, in order."""
        split = self._near(self.split("validation"))
        # Lightning would repeat samples, so that all processes have as many, and count them twice.
        rank, processes = (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        share = Share(split, rank, processes) if 1 < processes <= len(split) else None
        return self._loader(split, self.eval_batch_size, share)

    def test_dataloader(self) -> DataLoader[Batch]:
        """Batches of the test split, in order."""
        return self.batches("test")

    def _near(self, split: Split) -> Split:
        """The split where the trainer's steps are taken, if that is a GPU that can have it."""
        if self.trainer is None or self.workers:
            return split
        device = self.trainer.strategy.root_device
        return split.near(device) if device.type == "cuda" else split

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Send a batch to a device, unless it is there already; called by Lightning."""
        if isinstance(batch, Batch) and batch.x.device == device:
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment a training batch, on the device where its step is taken; called by Lightning.

        The result depends on seed, epoch and number of the batch alone, so that a resumed run repeats it; of several
        processes each moves a batch as large as that of all, so that each image moves as it would in one process.
        """
        if self.augmentation is None or self.trainer is None or not self.trainer.training:
            return batch
        number = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        parts: tuple[int | str, ...] = (self.seed, "augmentation", self.trainer.current_epoch, number)
        # The process was a part of the seed when each drew for itself; the first one's numbers are kept.
        moved = partial(self.augmentation, bounds=self.bounds, seed=derived_seed(*parts, 0))
        portion = portion_of_step(self.trainer, len(batch.x), number)
        return batch._replace(x=portion.mapped(batch.x, moved))

    def batches(self, name: SplitName) -> DataLoader[Batch]:
        """Batches of a split, in order."""
        return self._loader(self.split(name), self.eval_batch_size, None)

    def _loader(self, split: Split, size: int, order: Sampler[int] | None) -> DataLoader[Batch]:
        return DataLoader(
            split,
            batch_size=size,
            sampler=order,
            num_workers=self.workers,
            collate_fn=as_it_is,
            # Its own randomness: the iterator would otherwise draw from the global one.
            generator=torch.Generator(),
        )

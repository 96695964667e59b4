"""Your own images: HDF5 files or shards."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from training.data.augmentation import Augmentation
from training.data.checks import check_labels, shuffled
from training.data.hdf5_file import opened
from training.data.keys import IMAGES, LABELS, found_key
from training.data.labels import class_names, numbered, one_per_sample
from training.data.layout import Layout, sample_shape
from training.data.parts import FilesOfSplits
from training.data.raw import Form, HeldSplit, RowsSplit, check_dtype, form_of
from training.data.split import Split, SplitName
from training.data.unread import unread

HELD = 2**30
"""Bytes of images up to which the files of a split are read at once; larger ones are read batch by batch."""


class Shard(NamedTuple):
    """A file, under which key its images lie, their number and their size in bytes, their labels and groups."""

    path: str
    key: str
    samples: int
    size: int
    labels: np.ndarray
    groups: np.ndarray | None


class HDF5Images(FilesOfSplits):
    """Images in HDF5 files of yours, one file or several shards per split. One split is enough to measure on it.

    Each file holds `images`, of two to five dimensions (see `layout`), as whole numbers or floating point; `labels`,
    one per image (integers, a column, one-hot rows or names); and optionally `group`, `(N,)`, such as a patient:
    samples of one group then never fall on both sides of a split. Whole numbers are mapped from [0, `levels`] to
    `bounds`; floating-point values are taken as they are and must lie within them. Files of more than 1 GB a split
    are read batch by batch.

    Args:
        train: files of the training split.
        test: files of the test split.
        validation: files of the validation split; without any, a share of the training split is kept.
        validation_share: that share, by a fixed shuffle; by group where there is one.
        classes: names of the classes; numbered if not given. Where all are numbers, such as -1 and 1, they are the
            labels themselves.
        bounds: lowest and highest legal value of an input; (0, 1) for whole numbers, and needed for floating point.
        name: as it stands in tables.
        augmentation: of training batches; none if not given.
        batch_size: samples per training step.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples.
        workers: processes that prepare batches.
        images: key of the images; the usual ones (images, x, data, …) are found.
        labels: key of the labels; the usual ones (labels, y, targets, …) are found.
        levels: largest possible value of whole numbers, such as 4095 for 12 bits in 16; that of their type if not
            given.
        layout: order of the dimensions, such as NHWC; noticed where the shape shows it.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if a file is no HDF5 file, lacks a data set, or its content has the wrong shape, type or
            range; the message names the file and the remedy.
    """

    def __init__(
        self,
        train: str | list[str] | None = None,
        test: str | list[str] | None = None,
        validation: str | list[str] | None = None,
        validation_share: float = 0.1,
        classes: list[str | int] | None = None,
        bounds: tuple[float, float] | None = None,
        name: str = "HDF5",
        augmentation: Augmentation | None = None,
        batch_size: int = 64,
        eval_batch_size: int = 512,
        seed: int = 0,
        workers: int = 0,
        images: str | None = None,
        labels: str | None = None,
        levels: int | None = None,
        layout: Layout | None = None,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, workers)
        self.name_files(train, validation, test, validation_share)
        self.augmentation, self.name, self.keys = augmentation, name, (images, labels)
        split, files = self.first_files()
        shard = self._shard(files[0], split)
        with opened(shard.path) as file:
            self.form, notes = form_of(
                file[shard.key], bounds=bounds, levels=levels, layout=layout, source=shard.path
            )
        self.shape, self.bounds = self.form.shape, self.form.bounds
        self.classes, said = class_names(shard.labels, classes or None, shard.path)
        self.notes = notes + said

    def make_split(self, name: SplitName) -> Split:
        """The samples of a split."""
        source = "train" if self.divides(name) else name
        shards = [self._numbered(self._shard(file, source)) for file in self.files_of(source)]
        groups = _groups(shards)
        if self.divides(name):
            kept = self._kept_for_validation(sum(shard.samples for shard in shards), groups)
            return self._split(shards, kept if name == "validation" else ~kept)
        if groups is not None:
            self._refuse_shared_groups(name, groups)
        return self._split(shards, None)

    def _split(self, shards: Sequence[Shard], chosen: Tensor | None) -> Split:
        labels = np.concatenate([shard.labels for shard in shards])
        rows = torch.arange(len(labels)) if chosen is None else chosen.nonzero()[:, 0]
        if sum(shard.size for shard in shards) > HELD:
            return HDF5Split(shards, rows, torch.from_numpy(labels)[rows], self.form)
        if self.form.stays:
            held = [self.form.inputs(_images(shard), shard.path) for shard in shards]
            images = held[0] if len(held) == 1 else torch.cat(held)
            images = images if chosen is None else images[rows]
            return Split(images, torch.from_numpy(labels)[rows], self.form.bounds)
        raw = np.concatenate([_images(shard) for shard in shards])[rows.numpy()]
        return HeldSplit(raw, torch.from_numpy(labels)[rows], self.form, _all_of(shards))

    def _shard(self, file: str, split: SplitName) -> Shard:
        """What a file holds, but for its images."""
        with opened(file) as content:
            keys = _arrays_in(content)
            images = content[found_key(keys, self.keys[0], split, IMAGES, file)]
            labels = content[found_key(keys, self.keys[1], split, LABELS, file)]
            groups = content["group"][:] if "group" in content else None
            found = one_per_sample(labels[:], file)
            check_dtype(images.dtype, file)
            shard = Shard(file, images.name, len(images), images.nbytes, found, groups)
        if groups is not None and len(groups) != len(found):
            raise ValueError(f"{file}: `group` should be one per label, {len(found)}. Found {len(groups)}.")
        return shard

    def _numbered(self, shard: Shard) -> Shard:
        """The same with labels from 0, once it is found to be like the first."""
        labels = numbered(shard.labels, self.classes, shard.path)
        check_labels(shard.samples, torch.from_numpy(labels), self.num_classes, shard.path)
        with opened(shard.path) as file:
            found, dtype = file[shard.key].shape, file[shard.key].dtype
        same = len(found) == len(self.form.layout) and sample_shape(found, self.form.layout) == self.shape
        if not same:
            raise ValueError(
                f"{shard.path}: images should have shape {self.shape}, as in the first file. Found {found[1:]}."
            )
        if dtype != self.form.dtype and {dtype.kind, self.form.dtype.kind} != {"f"}:
            raise ValueError(
                f"{shard.path}: images should be {self.form.dtype}, as in the first file. Found {dtype}."
            )
        return shard._replace(labels=labels)

    def _refuse_shared_groups(self, name: SplitName, groups: np.ndarray) -> None:
        """No patient may stand in the files of two splits."""
        others = {file for split, files in self.files.items() if split != name for file in files}
        for path in sorted(others - set(self.files[name])):
            with opened(path) as file:
                shared = np.intersect1d(groups, file["group"][:]) if "group" in file else np.empty(0)
            if len(shared):
                raise ValueError(
                    f"{path}: shares {len(shared)} of its groups, such as {shared[0]}, with {self.files[name]}. "
                    "Keep each group in the files of one split."
                )

    def _kept_for_validation(self, count: int, groups: np.ndarray | None) -> Tensor:
        kept = torch.zeros(count, dtype=torch.bool)
        if groups is None:
            share = max(1, int(count * self.validation_share))
            kept[shuffled(count, "validation", self.name)[:share]] = True
        elif len(np.unique(groups)) < 2:
            raise ValueError(
                f"{self.files['train']}: keeping a validation split by `group` needs at least two groups. Found one. "
                "Name files in `validation`, or leave `group` out."
            )
        else:
            from sklearn.model_selection import GroupShuffleSplit

            splitter = GroupShuffleSplit(n_splits=1, test_size=self.validation_share, random_state=0)
            _, validation = next(splitter.split(np.zeros(count), groups=groups))
            kept[torch.from_numpy(validation)] = True
        return kept


class HDF5Split(RowsSplit):
    """Images that are read from their files when they are asked for, in each process by itself.

    Args:
        shards: the files, which follow each other.
        rows: `(N,)`, where each sample lies in all of them.
        labels: `(N,)` in [0, classes).
        form: how raw samples become inputs.
    """

    def __init__(
        self, shards: Sequence[Shard], rows: Shaped[Tensor, " N"], labels: Shaped[Tensor, " N"], form: Form
    ) -> None:
        super().__init__(rows, labels, form, _all_of(shards))
        self.places = [(shard.path, shard.key) for shard in shards]
        self.starts = np.cumsum([0, *(shard.samples for shard in shards)])
        self._open: tuple[int, list[h5py.File]] = (-1, [])

    def __getstate__(self) -> dict[str, Any]:
        """All but the opened files, which no other process can use."""
        return self.__dict__ | {"_open": (-1, [])}

    def read_rows(self, rows: Shaped[np.ndarray, " B"]) -> Shaped[np.ndarray, "B *raw"]:
        """Raw samples of some rows, which are sorted and all different."""
        if self._open[0] != os.getpid():  # of a process that was forked
            self._open = os.getpid(), [h5py.File(path, "r") for path, _ in self.places]
        which = np.searchsorted(self.starts, rows, side="right") - 1
        parts = []
        for number in np.unique(which):
            images = self._open[1][number][self.places[number][1]]
            try:
                parts.append(_rows(images, rows[which == number] - self.starts[number]))
            except OSError as error:
                raise ValueError(unread(self.places[number][0], "an HDF5 file", error)) from error
        return np.concatenate(parts)


def _all_of(shards: Sequence[Shard]) -> str:
    """Names the files in a message."""
    return shards[0].path + (f" or one of {len(shards) - 1} shards after it" if len(shards) > 1 else "")


def _arrays_in(file: h5py.File) -> list[str]:
    """Keys of all arrays, those in groups by their paths."""
    found: list[str] = []
    file.visititems(lambda key, item: found.append(key) if isinstance(item, h5py.Dataset) else None)
    return found


def _rows(images: h5py.Dataset, rows: np.ndarray) -> np.ndarray:
    """Some rows; those that lie close together in one piece, as HDF5 looks up single ones slowly."""
    first, after = int(rows[0]), int(rows[-1]) + 1
    return images[first:after][rows - first] if after - first <= 4 * len(rows) else images[rows]


def _groups(shards: Sequence[Shard]) -> np.ndarray | None:
    groups = [shard.groups for shard in shards if shard.groups is not None]
    if groups and len(groups) < len(shards):
        raise ValueError(f"{[shard.path for shard in shards]}: either all shards or none should hold `group`.")
    return np.concatenate(groups) if groups else None


def _images(shard: Shard) -> np.ndarray:
    with opened(shard.path) as file:
        return file[shard.key][:]

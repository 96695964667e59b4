"""Your own images: HDF5 files or shards."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import torch
from sklearn.model_selection import GroupShuffleSplit
from torch import Tensor

from training.data.augmentation import Augmentation
from training.data.checks import check_samples, shuffled
from training.data.dataset import DataSet
from training.data.split import Split, SplitName


class HDF5Images(DataSet):
    """Images in HDF5 files of yours, one file or several shards per split.

    Each file holds `images`, `(N, channels, height, width)` or `(N, features)`, uint8 or floating point;
    `labels`, `(N,)` integers from 0; and optionally `group`, `(N,)`, such as a patient: samples of one group
    then never fall on both sides of a split. Bytes are mapped from [0, 255] to `bounds`; floating-point values
    are taken as they are and must lie within them.

    Args:
        train: files of the training split.
        test: files of the test split.
        validation: files of the validation split; without any, a share of the training split is kept.
        validation_share: that share, by a fixed shuffle; by group where there is one.
        classes: names of the classes; numbered if not given.
        bounds: lowest and highest legal value of an input.
        name: as it stands in tables.
        augmentation: of training batches; none if not given.
        batch_size: samples per training step.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples.
        workers: processes that prepare batches.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if a file is no HDF5 file, lacks a data set, or its content has the wrong shape, type or
            range; the message names the file and the remedy.
    """

    def __init__(
        self,
        train: list[str],
        test: list[str],
        validation: list[str] | None = None,
        validation_share: float = 0.1,
        classes: list[str] | None = None,
        bounds: tuple[float, float] = (-1.0, 1.0),
        name: str = "HDF5",
        augmentation: Augmentation | None = None,
        batch_size: int = 64,
        eval_batch_size: int = 512,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, workers)
        if not 0 < validation_share < 1:
            raise ValueError(f"`validation_share` should lie in (0, 1). Found {validation_share}.")
        self.augmentation = augmentation
        self.files = {"train": train, "test": test, "validation": validation or []}
        self.validation_share, self.bounds, self.name = validation_share, (bounds[0], bounds[1]), name
        if not train:
            raise ValueError("`train` should name at least one file. Found none.")
        with _opened(Path(train[0])) as first:
            self.shape = tuple(first["images"].shape[1:])
            largest = int(np.max(first["labels"][:], initial=1))
        self.classes = tuple(classes or (str(number) for number in range(largest + 1)))

    def make_split(self, name: SplitName) -> Split:
        """The samples of a split."""
        if name == "test" or (self.files[name] and self.files["validation"]):
            images, labels, groups = self._read(self.files[name])
            if groups is not None:
                self._refuse_shared_groups(name, groups)
            return Split(images, labels, self.bounds)
        images, labels, groups = self._read(self.files["train"])
        kept = self._kept_for_validation(len(labels), groups)
        chosen = kept if name == "validation" else ~kept
        return Split(images[chosen], labels[chosen], self.bounds)

    def _refuse_shared_groups(self, name: SplitName, groups: np.ndarray) -> None:
        """No patient may stand in the files of two splits."""
        others = {file for split, files in self.files.items() if split != name for file in files}
        for path in sorted(others - set(self.files[name])):
            with _opened(Path(path)) as file:
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
            splitter = GroupShuffleSplit(n_splits=1, test_size=self.validation_share, random_state=0)
            _, validation = next(splitter.split(np.zeros(count), groups=groups))
            kept[torch.from_numpy(validation)] = True
        return kept

    def _read(self, files: Sequence[str]) -> tuple[Tensor, Tensor, np.ndarray | None]:
        if not files:
            raise ValueError("HDF5Images needs at least one file per split. Found none.")
        shards = [self._read_shard(Path(file)) for file in files]
        images, labels, groups = zip(*shards, strict=True)
        with_groups = [group for group in groups if group is not None]
        if with_groups and len(with_groups) < len(shards):
            raise ValueError(f"{files}: either all shards or none should hold `group`.")
        joined = np.concatenate(with_groups) if with_groups else None
        return torch.cat(images), torch.cat(labels), joined

    def _read_shard(self, path: Path) -> tuple[Tensor, Tensor, np.ndarray | None]:
        with _opened(path) as file:
            raw, labels = file["images"][:], file["labels"][:]
            groups = file["group"][:] if "group" in file else None
        if raw.shape[1:] != self.shape:
            raise ValueError(
                f"{path}: images should have shape {self.shape}, as in the first file. Found {raw.shape[1:]}."
            )
        if raw.dtype != np.uint8 and not np.issubdtype(raw.dtype, np.floating):
            raise ValueError(f"{path}: images should be uint8 or floating point. Found {raw.dtype}.")
        if groups is not None and len(groups) != len(labels):
            raise ValueError(f"{path}: `group` should be one per label, {len(labels)}. Found {len(groups)}.")
        images = torch.from_numpy(raw if raw.dtype == np.uint8 else raw.astype(np.float32))
        targets = torch.from_numpy(labels.astype(np.int64))
        check_samples(images, targets, self.num_classes, self.bounds, path)
        return images, targets, groups


def _opened(path: Path) -> h5py.File:
    """An HDF5 file that holds images and labels."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file. Name existing HDF5 files in `train` and `test`.")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path}: not an HDF5 file that can be read ({error}).") from error
    for key, dimensions in (("images", (2, 3, 4)), ("labels", (1,))):
        if key not in file or file[key].ndim not in dimensions:
            found = f"shape {file[key].shape}" if key in file else f"the keys {sorted(file)}"
            file.close()
            raise ValueError(
                f"{path}: should hold `{key}` with {' or '.join(map(str, dimensions))} dimensions. Found {found}."
            )
    if not np.issubdtype(file["labels"].dtype, np.integer):
        found = str(file["labels"].dtype)
        file.close()
        raise ValueError(f"{path}: labels should be integers. Found {found}.")
    return file

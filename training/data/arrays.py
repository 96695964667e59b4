"""Your own arrays: NumPy's .npz and .npy files."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile, is_zipfile

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from training.data.augmentation import Augmentation
from training.data.checks import check_labels
from training.data.keys import IMAGES, LABELS, found_key, own_keys
from training.data.labels import class_names, numbered, one_per_sample
from training.data.layout import Layout, sample_shape
from training.data.parts import SPLITS, FilesOfSplits, existing
from training.data.raw import Form, RowsSplit, form_of, split_in_memory
from training.data.split import Split, SplitName
from training.data.unread import unread

PAIRS = (("images", "labels"), ("image", "label"), ("data", "labels"), ("x", "y"), ("X", "y"))
"""What stands in the name of a .npy file of images, and in that of its labels."""


class Loaded(NamedTuple):
    """Images as they lie in a file, mapped where they can be; labels; and the file."""

    images: np.ndarray
    labels: np.ndarray
    source: str


class Arrays(FilesOfSplits):
    """Images, signals or vectors in NumPy files of yours. One split is enough to measure on it.

    A split is one `.npz` file or several; or one `.npy` file of images, which stays on the disk, with labels in a
    second one. The second need not be named where it lies beside the first: `labels.npy` (CIFAR-10-C's form), or the
    first's name with labels for images or y for x. Keys are `images` and `labels`, `x` and `y`, …, also with the
    split's name (MedMNIST's `test_images`, Keras's `x_test`): such a file says all its splits, named once.

    Args:
        test: files of the test split.
        train: files of the training split.
        validation: files of the validation split; without any, a share of the training split is kept.
        bounds: lowest and highest legal value of an input; (0, 1) for whole numbers, and needed for floating point.
        classes: names of the classes; numbered if not given. Where all are numbers, such as -1 and 1, they are the
            labels themselves.
        images: key of the images, where it is an unusual one.
        labels: key of the labels, where it is an unusual one.
        levels: largest possible value of whole numbers; that of their type if not given.
        layout: order of the dimensions, such as NHWC; noticed where the shape shows it.
        validation_share: of the training samples, by a fixed shuffle.
        name: as it stands in tables; that of the file if not given.
        augmentation: of training batches; none if not given.
        batch_size: samples per training step.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples and their augmentation.
        workers: processes that prepare batches.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if a file cannot be read, lacks an array, or its content has the wrong shape, type or range; the
            message names the file and the remedy.
    """

    def __init__(
        self,
        test: str | list[str] | None = None,
        train: str | list[str] | None = None,
        validation: str | list[str] | None = None,
        bounds: tuple[float, float] | None = None,
        classes: list[str | int] | None = None,
        images: str | None = None,
        labels: str | None = None,
        levels: int | None = None,
        layout: Layout | None = None,
        validation_share: float = 0.1,
        name: str | None = None,
        augmentation: Augmentation | None = None,
        batch_size: int = 64,
        eval_batch_size: int = 512,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, workers)
        self.name_files(train, validation, test, validation_share)
        self.keys, self.augmentation = (images, labels), augmentation
        _, files = self.first_files()
        self.name = name or Path(files[0]).stem
        self.files = _also_held(self.files)
        split, files = self.first_files()
        first = loaded(files, split, self.keys)[0]
        self.form, notes = form_of(first.images, bounds=bounds, levels=levels, layout=layout, source=first.source)
        self.shape, self.bounds = self.form.shape, self.form.bounds
        self.classes, said = class_names(first.labels, classes, first.source)
        self.notes = notes + said

    def make_split(self, name: SplitName) -> Split:
        """The samples of a split."""
        source = "train" if self.divides(name) else name
        found = loaded(self.files_of(source), source, self.keys)
        labels = np.concatenate([self._checked(part) for part in found])
        rows = self.kept(name, len(labels)) if self.divides(name) else torch.arange(len(labels))
        if isinstance(found[0].images, np.memmap):
            return MappedSplit(Path(found[0].source), rows, torch.from_numpy(labels)[rows], self.form)
        whole = found[0].images if len(found) == 1 else np.concatenate([part.images for part in found])
        raw = whole[rows.numpy()] if self.divides(name) else whole
        return split_in_memory(raw, labels[rows.numpy()], self.form, self.num_classes, found[0].source)

    def _checked(self, part: Loaded) -> Int64[np.ndarray, " N"]:
        """Labels from 0, once images and labels are found to be like the first's."""
        shape, dtype = part.images.shape, part.images.dtype
        if len(shape) != len(self.form.layout) or sample_shape(shape, self.form.layout) != self.shape:
            raise ValueError(
                f"{part.source}: images should have shape {self.shape}, as in the first file. Found {shape[1:]}."
            )
        if dtype != self.form.dtype:
            raise ValueError(f"{part.source}: images should be {self.form.dtype}, as in the first. Found {dtype}.")
        labels = numbered(part.labels, self.classes, part.source)
        check_labels(len(part.images), torch.from_numpy(labels), self.num_classes, part.source)
        return labels


class MappedSplit(RowsSplit):
    """Samples in a .npy file, of which no more than a batch is in memory.

    Args:
        path: of the file.
        rows: `(N,)`, where each sample lies.
        labels: `(N,)` in [0, classes).
        form: how raw samples become inputs.
    """

    def __init__(self, path: Path, rows: Shaped[Tensor, " N"], labels: Shaped[Tensor, " N"], form: Form) -> None:
        super().__init__(rows, labels, form, path)
        self.path = path

    def read_rows(self, rows: Shaped[np.ndarray, " B"]) -> Shaped[np.ndarray, "B *raw"]:
        """Raw samples of some rows."""
        return np.load(self.path, mmap_mode="r")[rows]  # opening it is quick, and each process has its own


def _also_held(files: dict[SplitName, list[str]]) -> dict[SplitName, list[str]]:
    """The same, and for a split without files one .npz file of another that holds arrays in this one's name."""
    archives = {file: None for named in files.values() for file in named if file.endswith(".npz")}
    for file in archives:
        with _archive(existing([file], ".npz files")[0]) as archive:
            keys = list(archive)
        own = {split for split in SPLITS if own_keys(keys, split, IMAGES)}
        files = {split: named or ([file] if split in own else []) for split, named in files.items()}
    return files


def loaded(files: Sequence[str], split: SplitName, keys: tuple[str | None, str | None]) -> list[Loaded]:
    """Images and labels of a split: from .npz files, or from a pair of .npy files.

    Args:
        files: of the split.
        split: its name, which may stand in the keys.
        keys: of images and labels, where somebody named them.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if a file is of another kind, or lacks an array.
    """
    paths = existing(files, ".npz or .npy files")
    kinds = {path.suffix for path in paths}
    if kinds == {".npz"}:
        return [_from_archive(path, split, keys) for path in paths]
    if kinds != {".npy"} or len(paths) > 2:
        raise ValueError(
            f"{', '.join(files)}: a split should be .npz files, or one .npy file of images and one of labels."
        )
    labels = paths[1] if len(paths) == 2 else _labels_beside(paths[0])
    return [Loaded(_array(paths[0]), one_per_sample(np.asarray(_array(labels)), labels), str(paths[0]))]


def _from_archive(path: Path, split: SplitName, keys: tuple[str | None, str | None]) -> Loaded:
    with _archive(path) as archive:
        images = found_key(archive, keys[0], split, IMAGES, path)
        labels = found_key(archive, keys[1], split, LABELS, path)
        try:
            return Loaded(archive[images], one_per_sample(archive[labels], path), str(path))
        except (BadZipFile, ValueError) as error:
            raise ValueError(_unread(path, error)) from error


def _archive(path: Path) -> np.lib.npyio.NpzFile:
    try:
        with path.open("rb") as file:
            if not is_zipfile(file):  # which NumPy would leave open
                raise BadZipFile("it is no archive, or is cut off")
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, BadZipFile, EOFError) as error:
        raise ValueError(_unread(path, error)) from error


def _array(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(_unread(path, error)) from error


def _unread(path: Path, error: Exception) -> str:
    said = str(error)
    if said.startswith(str(path)):
        return said
    if "allow_pickle" in said or "Python objects" in said:
        if _begins_otherwise(path):
            return unread(path, "a NumPy file", "it begins as none does")
        said = "it holds Python objects, which would be run as code; store plain arrays"
        return unread(path, "a NumPy file", said, "Save it again.")
    return unread(path, "a NumPy file", error)


def _begins_otherwise(path: Path) -> bool:
    """Whether a file is neither an array nor an archive of arrays; NumPy takes all others for pickled objects."""
    with path.open("rb") as file:
        return not file.read(6).startswith((b"\x93NUMPY", b"PK\3\4", b"\x80"))


def _labels_beside(path: Path) -> Path:
    """Where the labels of a .npy file of images lie."""
    swapped = [path.with_stem(path.stem.replace(a, b)) for a, b in PAIRS if a in path.stem]
    for candidate in (*swapped, path.with_name("labels.npy")):
        if candidate != path and candidate.is_file():
            return candidate
    raise ValueError(
        f"{path}: its labels should lie beside it in labels.npy, or be named: [{path.name}, LABELS.npy]."
    )

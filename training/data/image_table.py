"""Images whose paths and labels stand in a table."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from training.data.augmentation import Augmentation
from training.data.checks import check_labels
from training.data.images import Channels, FileSplit, Interpolation, Preparation, looked_at
from training.data.labels import class_names, numbered, one_per_sample
from training.data.parts import FilesOfSplits, existing
from training.data.split import Split, SplitName
from training.data.tables import LABELS, PATHS, also_in, found_column, read_table, rows_of, split_column


class ImageTable(FilesOfSplits):
    """Images whose paths and labels stand in CSV (or TSV, Parquet) files of yours. One split is enough to measure.

    A split is one file, or the rows of a file with a column that says each row's split (train, val or validation,
    test): such a file is named once. Relative paths start at the table's own folder. Images are read when they are
    asked for, as `ImageFolders` does.

    Args:
        test: files of the test split.
        train: files of the training split.
        validation: files of the validation split; without any, a share of the training split is kept.
        path: column of the paths, where it has an unusual name.
        label: column of the labels, numbers or names, where it has an unusual name.
        split: column that says a row's split, where it has an unusual name.
        root: folder at which relative paths start; the table's own if not given.
        classes: names of the classes, in the order of the logits; if not given, numbers, or the names found, sorted.
        size: height and width in pixels; the middle is kept.
        resize: length in pixels to which the shorter side is resized before that; that of `size` if not given.
        interpolation: of resizing, with antialiasing.
        channels: 3; 1, in which colours become grey; or auto, which is 1 if all images looked at are grey.
        levels: largest possible value of images of more than 8 bits, such as 4095 for 12 bits; 65535 if not given.
        upright: turn images as their EXIF orientation says.
        bounds: lowest and highest legal value of an input.
        validation_share: of the training samples, by a fixed shuffle.
        name: as it stands in tables; that of the file if not given.
        augmentation: of training batches; none if not given.
        batch_size: samples per training step.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples and their augmentation.
        workers: processes that read and prepare batches.

    Raises:
        FileNotFoundError: if a table or an image does not exist.
        ValueError: if a table lacks a column, or a label is none of the classes.
    """

    def __init__(
        self,
        test: str | list[str] | None = None,
        train: str | list[str] | None = None,
        validation: str | list[str] | None = None,
        path: str | None = None,
        label: str | None = None,
        split: str | None = None,
        root: str | None = None,
        classes: list[str | int] | None = None,
        size: int = 224,
        resize: int | None = None,
        interpolation: Interpolation = "bilinear",
        channels: Channels = 3,
        levels: int | None = None,
        upright: bool = False,
        bounds: tuple[float, float] = (0.0, 1.0),
        validation_share: float = 0.1,
        name: str | None = None,
        augmentation: Augmentation | None = None,
        batch_size: int = 64,
        eval_batch_size: int = 128,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, workers)
        self.name_files(train, validation, test, validation_share)
        self.columns, self.root, self.augmentation = (path, label, split), root, augmentation
        self.files = also_in(self.files, split)
        first, files = self.first_files()
        self.name, self.bounds = name or Path(files[0]).stem, (bounds[0], bounds[1])
        paths, labels = self._read(first)
        self.classes, said = class_names(labels, classes, files[0])
        grey, notes = looked_at(paths, levels)
        self.notes = said + notes
        known = grey if channels == "auto" else channels
        self.prepare = Preparation(size, resize or size, interpolation, known, levels, self.bounds, upright)
        self.shape = (known, size, size)

    def make_split(self, name: SplitName) -> Split:
        """The samples of a split."""
        source = "train" if self.divides(name) else name
        paths, labels = self._read(source)
        files = self.files_of(source)[0]
        numbers = torch.from_numpy(numbered(labels, self.classes, files))
        check_labels(len(paths), numbers, self.num_classes, files)
        rows = self.kept(name, len(paths)) if self.divides(name) else torch.arange(len(paths))
        _check_there([paths[row] for row in rows.tolist()], files)
        return FileSplit([(paths[row], int(numbers[row])) for row in rows.tolist()], replace(self.prepare))

    def _read(self, split: SplitName) -> tuple[list[str], np.ndarray]:
        tables = existing(self.files_of(split), "tables")
        parts = [self._columns(table, split) for table in tables]
        return [path for paths, _ in parts for path in paths], np.concatenate([labels for _, labels in parts])

    def _columns(self, path: Path, split: SplitName) -> tuple[list[str], np.ndarray]:
        """Paths and labels of a table's rows of a split."""
        table = read_table(path)
        rows = rows_of(table, split_column(table, self.columns[2], path), split)
        labels = rows[found_column(table, self.columns[1], LABELS, "label", path)]
        files = rows[found_column(table, self.columns[0], PATHS, "path", path)]
        for column in (labels, files):
            check_filled(column, path)
        folder = Path(self.root) if self.root else path.parent
        return [str(folder / str(file)) for file in files], one_per_sample(labels.to_numpy(), path)


def check_filled(column: pd.Series, path: Path) -> None:
    """Refuse a column with empty cells.

    Raises:
        ValueError: naming the first row.
    """
    if column.isna().any():
        row = int(column.isna().to_numpy().argmax()) + 1
        raise ValueError(
            f"{path}: column `{column.name}` should be filled. Found {int(column.isna().sum())} empty cells, the "
            f"first in row {row}."
        )


def _check_there(paths: Sequence[str], table: str) -> None:
    missing = [path for path in paths if not Path(path).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{table}: names {len(missing)} of {len(paths)} images that do not exist, such as {missing[0]}. Name the "
            "folder at which paths start with `root`."
        )

"""Vectors of features in a table."""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch

from training.data.arrays import loaded
from training.data.checks import check_bounds, check_labels
from training.data.image_table import check_filled
from training.data.labels import class_names, numbered, one_per_sample
from training.data.parts import FilesOfSplits, existing
from training.data.raw import form_of, range_notes, split_in_memory
from training.data.split import Split, SplitName
from training.data.tables import LABELS, also_in, found_column, read_table, row_numbers, rows_of, split_column

ARRAYS = (".npz", ".npy")


class Tabular(FilesOfSplits):
    """Vectors of numbers and their labels, in CSV (or TSV, Parquet, .npz) files. One split is enough to measure.

    A split is one file, or the rows of a file with a column that says each row's split (train, val or validation,
    test): such a file is named once.

    Args:
        test: files of the test split.
        train: files of the training split.
        validation: files of the validation split; without any, a share of the training split is kept.
        bounds: lowest and highest legal value of an input, one pair for all features; or "data", the lowest and
            highest value in all files that are named. Must be given.
        label: column of the labels, numbers or names, where it has an unusual name.
        features: columns of the features, in the order of the inputs; all but label and split if not given.
        split: column that says a row's split, where it has an unusual name.
        classes: names of the classes, in the order of the logits; if not given, numbers, or the names found, sorted.
        validation_share: of the training samples, by a fixed shuffle.
        name: as it stands in tables; that of the file if not given.
        batch_size: samples per training step.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples.
        workers: processes that prepare batches.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if bounds are missing, a feature is no number, a cell is empty, or a label is none of the classes.
    """

    def __init__(
        self,
        test: str | list[str] | None = None,
        train: str | list[str] | None = None,
        validation: str | list[str] | None = None,
        bounds: tuple[float, float] | Literal["data"] | None = None,
        label: str | None = None,
        features: list[str] | None = None,
        split: str | None = None,
        classes: list[str | int] | None = None,
        validation_share: float = 0.1,
        name: str | None = None,
        batch_size: int = 64,
        eval_batch_size: int = 512,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, workers)
        self.name_files(train, validation, test, validation_share)
        self.label, self.features, self.column = label, features, split
        if not self._in_arrays():
            self.files = also_in(self.files, split)
        first, files = self.first_files()
        self.name = name or Path(files[0]).stem
        x, labels = self._read(first)
        self.shape = x.shape[1:]
        self.classes, said = class_names(labels, classes, files[0])
        self.bounds, notes = self._bounds(x, bounds, files[0])
        self.notes = said + notes

    def make_split(self, name: SplitName) -> Split:
        """The samples of a split."""
        source = "train" if self.divides(name) else name
        x, labels = self._read(source)
        file = self.files_of(source)[0]
        if x.shape[1:] != self.shape:
            raise ValueError(f"{file}: should have {self.shape[0]} features, as the first. Found {x.shape[1]}.")
        numbers = numbered(labels, self.classes, file)
        check_labels(len(x), torch.from_numpy(numbers), self.num_classes, file)
        rows = (self.kept(name, len(x)) if self.divides(name) else torch.arange(len(x))).numpy()
        form, _ = form_of(x, bounds=self.bounds, layout="NF", source=file)
        return split_in_memory(x[rows], numbers[rows], form, self.num_classes, file)

    def _bounds(
        self, x: np.ndarray, bounds: tuple[float, float] | Literal["data"] | None, file: str
    ) -> tuple[tuple[float, float], tuple[str, ...]]:
        if bounds is None:
            raise ValueError(
                f"{file}: `bounds` should say the lowest and highest legal value of a feature, or be `data`, which "
                f"takes them from the files. Found features from {np.nanmin(x):.6g} to {np.nanmax(x):.6g}."
            )
        if isinstance(bounds, str):
            named = [self._read(split)[0] for split, files in self.files.items() if files]
            taken = float(min(part.min() for part in named)), float(max(part.max() for part in named))
            check_bounds(taken)
            return taken, (
                f"{file}: `bounds: data`, the lowest and highest value found: [{taken[0]:g}, {taken[1]:g}].",
            )
        check_bounds(bounds)
        return (bounds[0], bounds[1]), range_notes(x, bounds, file)

    def _in_arrays(self) -> bool:
        return all(Path(file).suffix in ARRAYS for files in self.files.values() for file in files)

    def _read(self, split: SplitName) -> tuple[np.ndarray, np.ndarray]:
        """Features as float32, `(N, F)`, and labels."""
        files = self.files_of(split)
        if self._in_arrays():
            parts = [(part.images, part.labels) for part in loaded(files, split, (None, self.label))]
        else:
            parts = [self._columns(path, split) for path in existing(files, "tables")]
        x = np.concatenate([part for part, _ in parts])
        if x.ndim != 2 or x.dtype.kind not in "biuf":
            raise ValueError(f"{files[0]}: features should be numbers, (N, features). Found {x.dtype}, {x.shape}.")
        return x.astype(np.float32), np.concatenate([labels for _, labels in parts])

    def _columns(self, path: Path, split: SplitName) -> tuple[np.ndarray, np.ndarray]:
        table = read_table(path)
        says_split = split_column(table, self.column, path)
        label = found_column(table, self.label, LABELS, "label", path)
        rows = rows_of(table, says_split, split)
        unused = (label, says_split, *row_numbers(table))
        rest = [column for column in table.columns if column not in unused]
        chosen = [found_column(table, name, (), "features", path) for name in self.features or rest]
        for column in (label, *chosen):
            check_filled(rows[column], path)
        _check_numbers(rows[chosen], path)
        return rows[chosen].to_numpy(np.float64), one_per_sample(rows[label].to_numpy(), path)


def _check_numbers(features: pd.DataFrame, path: Path) -> None:
    texts = [str(name) for name, kind in features.dtypes.items() if not pd.api.types.is_numeric_dtype(kind)]
    if texts:
        raise ValueError(
            f"{path}: features should be numbers. Found texts in {', '.join(texts[:10])}. Gradients need numbers: "
            "encode these columns as the network was trained, or name the others in `features`."
        )

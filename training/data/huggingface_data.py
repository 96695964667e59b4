"""Hugging Face data sets on disk: saved ones and Parquet files."""

import importlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from training.data.foreign.hub_rows import HubRows
from training.data.foreign.item_data import ItemData
from training.data.foreign.reading import Reading
from training.data.split import SplitName
from training.strength import Strength

NAMES: Mapping[SplitName, Sequence[str]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "eval"),
}
"""How splits are called in saved data sets and in the names of Parquet files."""


class HuggingFaceData(ItemData):
    """A Hugging Face data set on disk: `--data HuggingFaceData --data.folder DIR`. Nothing is downloaded.

    The folder is one that `save_to_disk` wrote, with one split or several, or it holds Parquet files as the hub keeps
    them, `data/train-00000-of-00002.parquet`. Images stay in the bytes of their files until they are asked for.
    Needs the library: `pip install 'alphadx[datasets]'`.

    Args:
        folder: of the data set, or one Parquet file, which then is the test split.
        image: column of the inputs; the only one of images, or one with a usual name, if not given.
        label: column of the labels; the only one of class labels, or one with a usual name, if not given.
        train: split that is trained on, if it has no usual name.
        validation: split for validation; a share of the training split is kept where there is none.
        test: split that is tested on, such as `validation` where labels of the test split were never published.
        classes: their names, or how many there are; those of the class labels if not given.
        bounds: lowest and highest legal value of an input; bytes are mapped to them.
        validation_share: of the training split, kept by a fixed shuffle.
        size: height and width to which images are brought; they are left as they are if not given.
        resize: length of the shorter side before the middle is kept; `size` if not given.
        channels: 1 for grey, 3 for colour; left as they are if not given.
        cache: folder where the library turns Parquet into its own form; the library's own if not given.
        name: as it stands in tables; that of the folder if not given.
        batch_size: samples per training step.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples.
        workers: processes that read and prepare batches.

    Raises:
        FileNotFoundError: if there is no such folder or file.
        ImportError: if the library is not installed.
        ValueError: if it holds no data set, or it cannot be seen which columns and splits are meant.
    """

    def __init__(
        self,
        folder: str,
        image: str | None = None,
        label: str | None = None,
        train: str | None = None,
        validation: str | None = None,
        test: str | None = None,
        classes: list[str] | int | None = None,
        bounds: tuple[float, float] = (0.0, 1.0),
        validation_share: float | Strength = 0.1,
        size: int | None = None,
        resize: int | None = None,
        channels: int | None = None,
        cache: str | None = None,
        name: str | None = None,
        batch_size: int = 64,
        eval_batch_size: int = 128,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__(
            name or Path(folder).resolve().stem,
            bounds=bounds,
            classes=classes,
            reading=Reading(size=size, resize=resize, channels=channels),
            validation_share=validation_share,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            seed=seed,
            workers=workers,
        )
        self.folder, self.cache, self.image, self.label = Path(folder), cache, image, label
        self.arguments.pop("cache", None)  # where files lie is no part of what the data are
        self.named = {"train": train, "validation": validation, "test": test}
        self.look("test", "validation", "train")

    @cached_property
    def parts(self) -> Mapping[str, Any]:
        """The splits that lie there, by the names they have there."""
        if not self.folder.exists():
            raise FileNotFoundError(f"{self.folder}: no such folder or file.")
        library = _library()
        if self.folder.is_dir() and not _parquet(self.folder):
            try:
                found = library.load_from_disk(str(self.folder))
            except Exception as error:  # whatever is broken in it
                raise ValueError(
                    f"{self.folder}: should be a folder of `save_to_disk`, or hold Parquet files. Found neither "
                    f"({error})."
                ) from error
            return found if isinstance(found, dict) else {"test": found}
        try:
            return library.load_dataset("parquet", data_files=self._files(), cache_dir=self.cache)
        except Exception as error:  # whatever is broken in it
            raise ValueError(f"{self.folder}: no Parquet files that can be read ({error}).") from error

    def _files(self) -> dict[str, list[str]]:
        """Parquet files of each split: those whose name begins with one of its names."""
        if self.folder.is_file():
            return {"test": [str(self.folder)]}
        files: dict[str, list[str]] = {}
        for path in _parquet(self.folder):
            folder = path.parent.name if path.parent not in (self.folder, self.folder / "data") else ""
            split = path.stem.partition("-")[0] if path.stem.partition("-")[0].isalpha() else folder
            files.setdefault(split or "test", []).append(str(path))
        return files

    def items(self, name: SplitName) -> Any:
        """The rows of a split; None where there are none."""
        wanted = self.named[name]
        found = [split for split in ([wanted] if wanted else NAMES[name]) if split in self.parts]
        if wanted and not found:
            raise ValueError(f"`{name}` should be one of {', '.join(self.parts)}. Found {wanted!r}.")
        return HubRows(self.parts[found[0]], self.image, self.label) if found else None


def _parquet(folder: Path) -> list[Path]:
    """The Parquet files of a folder, in order."""
    return sorted(folder.rglob("*.parquet"))


def _library() -> Any:
    """Hugging Face's library.

    Raises:
        ImportError: with the remedy.
    """
    try:
        return importlib.import_module("datasets")
    except ImportError as error:
        raise ImportError("Hugging Face data sets need a library: pip install 'alphadx[datasets]'.") from error

"""Data sets that lie in files of a user's: which files make a split, and what of them is kept for validation."""

from collections.abc import Sequence
from pathlib import Path

from jaxtyping import Int
from torch import Tensor

from training.data.checks import validation_divided
from training.data.dataset import DataSet
from training.data.split import SplitName

Files = str | list[str]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


class FilesOfSplits(DataSet):
    """Base of data sets that name files for each split. Any one split is enough: measuring needs no training files.

    Attributes:
        files: of each split.
        validation_share: of the training samples, kept for validation where it has no files.
    """

    files: dict[SplitName, list[str]]
    validation_share: float

    def name_files(
        self, train: Files | None, validation: Files | None, test: Files | None, validation_share: float
    ) -> None:
        """Remember which files make a split.

        Raises:
            ValueError: if no split has any, or the share does not lie in (0, 1).
        """
        if not 0 < validation_share < 1:
            raise ValueError(f"`validation_share` should lie in (0, 1). Found {validation_share}.")
        self.validation_share = validation_share
        named = {"train": train, "validation": validation, "test": test}
        self.files = {name: _listed(named[name]) for name in SPLITS}
        if not any(self.files.values()):
            raise ValueError("`test` or `train` should name at least one file. Found none.")

    def files_of(self, name: SplitName) -> list[str]:
        """Files of a split.

        Raises:
            ValueError: if it has none.
        """
        if not self.files[name]:
            needed = ', which training and the residual "nearest" need' if name == "train" else ""
            remedy = " Name files in `train`, or another `residual`." if name == "train" else ""
            raise ValueError(
                f"`{name}` should name at least one file of the {name} split{needed}. Found none.{remedy}"
            )
        return self.files[name]

    def first_files(self) -> tuple[SplitName, list[str]]:
        """The split that says shape and classes, the training split where there is one, and its files."""
        return next((name, self.files[name]) for name in ("train", "test", "validation") if self.files[name])

    def divides(self, name: SplitName) -> bool:
        """Whether the split is a part of the training files."""
        return name != "test" and not self.files["validation"]

    def kept(self, name: SplitName, count: int) -> Int[Tensor, " M"]:
        """Rows of the training files that belong to a split, by a fixed shuffle."""
        rest, validation = validation_divided(count, self.validation_share, self.name)
        return validation if name == "validation" else rest


def _listed(files: Files | None) -> list[str]:
    return [files] if isinstance(files, str) else list(files or [])


def existing(files: Sequence[str], kind: str) -> list[Path]:
    """Paths of files that are there.

    Raises:
        FileNotFoundError: naming the first that is not.
    """
    paths = [Path(file) for file in files]
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file. Name existing {kind} in `train` and `test`.")
    return paths

"""Rows of a Hugging Face data set as items."""

from typing import Any

from torch.utils.data import Dataset

from training.data.foreign.labels import Labels
from training.data.foreign.reading import INPUTS, LABELS, Reading, whole


def is_hub(data: Any) -> bool:
    """Whether this is a map-style data set of Hugging Face; the library is not imported for it."""
    return type(data).__module__.partition(".")[0] == "datasets" and type(data).__name__ == "Dataset"


class HubRows(Dataset[Any]):
    """A Hugging Face data set; its format and its own transforms are kept.

    Args:
        rows: the data set.
        image: column of the inputs; the only one of images, or the one with a usual name, if not given.
        label: column of the labels; the only one of class labels, or the one with a usual name, if not given.

    Raises:
        ValueError: if it cannot be seen which columns they are.
    """

    def __init__(self, rows: Any, image: str | None = None, label: str | None = None) -> None:
        self.rows = rows
        self.image = self._column(image, "Image", INPUTS, "image")
        self.label = self._column(label, "ClassLabel", LABELS, "label")
        feature = rows.features[self.label]
        names = getattr(feature, "names", None)
        self.classes = tuple(names) if names else None

    def _column(self, given: str | None, kind: str, usual: tuple[str, ...], what: str) -> str:
        """The column that holds what is looked for."""
        columns = self.rows.column_names
        typed = [name for name in columns if type(self.rows.features[name]).__name__ == kind]
        named = [name for name in usual if name in columns]
        choices = (
            [given] if given else (typed if len(typed) == 1 else [name for name in named if name in typed] or named)
        )
        if len(choices) == 1 and choices[0] in columns:
            return choices[0]
        raise ValueError(
            f"`{what}` should name the column of the {what}s. Found {given or 'none that can be told'} among "
            f"{', '.join(columns)}. Rename it to {usual[0]!r}, or name it where a command takes `{what}`."
        )

    @property
    def targets(self) -> Labels | None:
        """The labels, read from their column alone, where no transform of rows could change them."""
        column = self.rows.with_format(None)[self.label]
        try:
            return [label if isinstance(label, str) else whole(label) for label in column]
        except ValueError:
            return None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        row = self.rows[index]
        return Reading(self.image, self.label).parts(row)

"""A table as text, ready to print."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd


@dataclass(frozen=True)
class Table:
    """A table and what a reader must be told beside it.

    Attributes:
        frame: of texts.
        notes: sentences below it.
        doubts: those of them that say why a number means less than it seems to.
        exact: the numbers behind the texts, as they were computed; None where the texts are all there is.
    """

    frame: pd.DataFrame
    notes: Sequence[str] = field(default_factory=list)
    doubts: Sequence[str] = field(default_factory=list)
    exact: pd.DataFrame | None = None

    def __str__(self) -> str:
        return "\n".join([self.frame.to_string(index=False), *(f"  {note}" for note in self.notes)])

"""A table as text, ready to print."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from eval.tables.plain_letters import plainly


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

    def in_letters_of(self, encoding: str) -> "Table":
        """The same for a stream of an encoding that may lack the papers' letters; columns stay aligned."""

        def told(value: object) -> object:
            return plainly(value, encoding) if isinstance(value, str) else value

        frame = self.frame.map(told).rename(columns=told)
        return replace(self, frame=frame, notes=[plainly(note, encoding) for note in self.notes])

    def __str__(self) -> str:
        return "\n".join([self.frame.to_string(index=False), *(f"  {note}" for note in self.notes)])

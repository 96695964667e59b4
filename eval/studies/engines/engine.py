"""What an engine is."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable

from eval.studies.tasks import Done, Task

Result = Callable[[], Mapping[str, Done]]
"""What came of a task; raises what has ended it."""


@runtime_checkable
class Crew(Protocol):
    """Workers, for as long as there is work.

    Attributes:
        told: folder in which each says how far it is.
        most: tasks that they are given at a time; None for all that there are.
    """

    told: Path
    most: int | None

    def send(self, tasks: Mapping[int, Task]) -> None:
        """Have tasks done, each under a number of its own."""
        ...

    def ended(self) -> Iterator[tuple[int, Result]]:
        """Wait until a task has ended; the numbers of all that have, each once, with what came of it."""
        ...


@runtime_checkable
class Engine(Protocol):
    """Has tasks done.

    Attributes:
        apart: whether the measurements of a model are tasks of their own, for workers on other machines.
    """

    apart: bool

    def crew(self) -> AbstractContextManager[Crew]:
        """Workers, who are ended in the middle of their work where the block is left by an error."""
        ...

"""Pieces of work on the models of a study, and what comes of them."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace


@dataclass
class Done:
    """What came of one model, or of one part of the work on it.

    Attributes:
        seconds: it took.
        failures: a sentence for everything that failed.
        notes: what a reader should know.
        new: whether anything was left to be done.
        rest: what is still to be done of it, in any order and by anybody.
    """

    seconds: float
    failures: list[str]
    notes: list[str] = field(default_factory=list)
    new: bool = True
    rest: tuple["Task", ...] = ()

    def __add__(self, other: "Done") -> "Done":
        """What came of two parts of the work on a model."""
        return Done(
            self.seconds + other.seconds,
            [*self.failures, *other.failures],
            [*dict.fromkeys([*self.notes, *other.notes])],
            self.new or other.new,
        )


@dataclass(frozen=True)
class Task:
    """A piece of work, which can be sent to another machine.

    Attributes:
        names: of the models that it is about.
        do: does it, and returns what came of each; models that it leaves to others are missing.
    """

    names: tuple[str, ...]
    do: Callable[[], Mapping[str, Done]]


class Parts:
    """Puts together what comes of the parts of each model."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._so_far: dict[str, Done] = {}

    def add(self, found: Mapping[str, Done]) -> Iterator[tuple[str, Done]]:
        """Add what came of a task; returns the models of which nothing is left to be done."""
        for name, part in found.items():
            if name in self._so_far:
                self._so_far[name] += part
                self._open[name] -= 1
            else:
                self._so_far[name] = replace(part, rest=())
            self._open[name] += len(part.rest)
            if not self._open[name]:
                yield name, self._so_far.pop(name)


def failures(done: Mapping[str, Done]) -> list[str]:
    """A sentence for everything that failed, with the name of its model."""
    return [f"{name}: {sentence}" for name, model in done.items() for sentence in model.failures]


def survived(model: Callable[[], Done]) -> Done:
    """What came of a model, also where it failed: a study outlives a model."""
    return all_survived(Task(("",), lambda: {"": model()}))[""]


def all_survived(task: Task) -> Mapping[str, Done]:
    """What came of the models of a task, also where it failed."""
    started = time.perf_counter()
    try:
        return task.do()
    except Exception as error:  # what a user's own network or data set may raise is not known
        return {name: failed(error, time.perf_counter() - started) for name in task.names}


def failed(error: Exception, seconds: float) -> Done:
    """A model that an error has ended."""
    told = re.sub(r"^\[Errno \d+\] ", "", str(error))
    return Done(seconds, [f"{type(error).__name__}: {told}"])

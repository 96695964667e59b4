"""How far long work is: work says it to whoever looks, prints nothing itself, and waits for nobody.

A piece of work opens a `Stage` and writes into it what is done. Stages lie in each other, as samples in a
measurement of a model of a study; whoever shows progress opens the outermost one, and reads it when it likes. Where
nobody has opened one, nobody looks, and what costs more than an addition is left out.
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from tqdm import tqdm

PATIENCE = 10.0
"""Seconds before a bar is drawn where nobody looks but a terminal is there."""

Item = TypeVar("Item")
if TYPE_CHECKING:
    Bar = tqdm[Any]
else:  # older versions of tqdm take no parameter
    Bar = tqdm


@dataclass
class Stage:
    """A piece of work: how many parts it has, how many are done, and the one that is under way.

    Attributes:
        title: what it is; empty where the stage around it says it.
        total: parts; 0 where nobody knows.
        unit: what a part is called; empty where their number means nothing to a reader.
        done: parts that are done.
        at_once: parts that the one under way stands for, as models that are trained together.
        part: the one that is under way, if it says how far it is.
        watched: whether somebody looks.
    """

    title: str = ""
    total: int = 0
    unit: str = "part"
    done: int = 0
    at_once: int = 1
    part: "Stage | None" = field(default=None, repr=False)
    watched: bool = False

    @property
    def share(self) -> float:
        """How much of it is done, in [0, 1]; NaN where that is not known."""
        if not self.total:
            return math.nan
        within = 0.0 if self.part is None else self.part.share
        return min((self.done + (0.0 if math.isnan(within) else self.at_once * within)) / self.total, 1.0)

    def ended(self, part: "Stage") -> None:
        """Take note that a part is no longer under way."""
        self.part = None


_UNDERWAY: ContextVar[Stage | None] = ContextVar("underway", default=None)


def underway() -> Stage | None:
    """The innermost stage that is open."""
    return _UNDERWAY.get()


@contextmanager
def stage(opened: Stage, *, outermost: bool = False) -> Iterator[Stage]:
    """Open a stage within the one that is open; it is watched if that one is.

    Args:
        opened: the stage.
        outermost: whether whoever opens it looks at it.

    Example:
        >>> with stage(Stage("study", 4, "model"), outermost=True) as study, stage(Stage("", 10, "sample")) as search:
        ...     study.done, search.done = 1, 5
        ...     study.share
        0.375
    """
    before = _UNDERWAY.get()
    around = None if outermost else before
    opened.watched = outermost or (around is not None and around.watched)
    if around is not None:
        around.part = opened
    _UNDERWAY.set(opened)
    try:
        yield opened
    finally:
        _UNDERWAY.set(before)
        if around is not None and around.part is opened:
            around.ended(opened)


def bar_of(opened: Stage) -> Bar:
    """A bar for a stage at which nobody looks, drawn on a terminal if it takes long; whoever looks has their own."""
    off = True if opened.watched else None  # None where there is no terminal, whose logs would fill with it
    return tqdm(desc=opened.title, total=opened.total, unit=opened.unit, leave=False, delay=PATIENCE, disable=off)


def stepwise(items: Iterable[Item], total: int, unit: str, title: str = "") -> Iterator[Item]:
    """Items one by one, counted, as a stage in which no other is opened.

    Example:
        >>> with stage(Stage("all", 1), outermost=True) as everything:
        ...     [everything.share for _ in stepwise("abcd", 4, "letter")]
        [0.0, 0.25, 0.5, 0.75]
    """
    counted, around = Stage(title, total, unit), _UNDERWAY.get()
    if around is not None and around.watched:
        around.part, counted.watched = counted, True
    with bar_of(counted) as bar:
        for item in items:
            yield item
            counted.done += 1
            bar.update()

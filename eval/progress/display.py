"""Draws how far work is, now and then, from a thread of its own: work itself waits for nothing."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from io import TextIOBase
from threading import Event, Thread
from typing import TextIO

from tqdm import tqdm

from eval.progress.form import Form, form_for, has_widgets, in_notebook
from eval.progress.sentence import line
from generators.progress import Bar, Stage, stage, underway

FIRST, OFTEN, SELDOM = 10.0, 30.0, 60.0
"""Seconds until the first line of a log, then between two, and between two after `LONG`."""
LONG = 300.0
BAR = 0.5
"""Seconds between two states of a bar."""
PARTS = 1000
BAR_FORMAT = "{percentage:3.0f}%|{bar:16}| {desc}"


def times() -> Iterator[float]:
    """Seconds since the beginning at which a line is written.

    Example:
        >>> from itertools import islice
        >>> [*islice(times(), 4)], [*islice(times(), 10, 13)]
        ([10.0, 40.0, 70.0, 100.0], [310.0, 370.0, 430.0])
    """
    at = FIRST
    while True:
        yield at
        at += OFTEN if at < LONG else SELDOM


class Display:
    """What is drawn of some work.

    Args:
        work: the outermost stage.
        stream: to be written to.
        form: bar, lines, widget or nothing.
        clock: seconds, from any beginning.
        read: brings the stage up to date before it is drawn.
    """

    def __init__(
        self,
        work: Stage,
        stream: TextIO | TextIOBase,
        form: Form,
        clock: Callable[[], float] = time.monotonic,
        read: Callable[[], None] = lambda: None,
    ) -> None:
        self.work, self.stream, self.form, self.clock, self.read = work, stream, form, clock, read
        self.began, self.before = clock(), _known(work.share)
        self.last, self.told = 0.0, 0
        self.times = times()
        self.next = next(self.times)
        self.bar: Bar | None = None

    def text(self) -> str:
        """The line as it is now."""
        return line(self.work, self.before, self.clock() - self.began, datetime.now())

    def look(self) -> None:
        """Draw what is due."""
        seconds = self.clock() - self.began
        self.read()
        if self.form == "lines" and seconds >= self.next:
            while self.next <= seconds:
                self.next = next(self.times)
            self.write(self.text())
        elif self.form in ("bar", "widget"):
            self._draw()

    def restart(self) -> None:
        """Count time from now, and what is done already as done before."""
        self.began, self.before = self.clock(), _known(self.work.share)

    def tell(self, what: str, *, at_once: bool = False) -> None:
        """Write a line on what has been found, with how far work is: on a terminal always, in a log if one is due.

        Args:
            what: was found.
            at_once: whether a log has it, too, before a line is due.
        """
        seconds = self.clock() - self.began
        if self.form == "lines" and not (at_once or self.told == 0 or seconds - self.last >= OFTEN):
            return
        self.last, self.told = seconds, self.told + 1
        while self.next <= seconds + OFTEN:
            self.next = next(self.times)
        self.write(f"{line(self.work, self.before, seconds, datetime.now(), what)}")

    def write(self, text: str) -> None:
        """A line of its own, unless nothing is to be shown."""
        if self.form == "nothing":
            return
        tqdm.write(text, file=self.stream)
        self.stream.flush()

    def _draw(self) -> None:
        if self.bar is None:
            self.bar = self._bar()
        self.bar.n = round(PARTS * _known(self.work.share))
        self.bar.set_description_str(self.text())

    def _bar(self) -> Bar:
        """A bar of a terminal or a notebook, which goes away at the end."""
        if self.form == "widget":
            from tqdm.notebook import tqdm as widget

            return widget(total=PARTS, bar_format=BAR_FORMAT, leave=False)
        return tqdm(total=PARTS, bar_format=BAR_FORMAT, leave=False, dynamic_ncols=True, file=self.stream)

    def close(self) -> None:
        """Take a bar away."""
        if self.bar is not None:
            self.bar.close()


def _known(share: float) -> float:
    """A share, 0 where it is not known."""
    return 0.0 if math.isnan(share) else share


@contextmanager
def shown(work: Stage, read: Callable[[], None] = lambda: None) -> Iterator[Display | None]:
    """Show how far a stage is while it is open; within another that is shown, as a part of it.

    Args:
        work: a new stage.
        read: brings it up to date before it is drawn.

    Yields:
        What draws it; None where that is done further out.
    """
    around = underway()
    if around is not None and around.watched:
        with stage(work):
            yield None
        return
    form = form_for(sys.stderr, notebook=in_notebook(), widgets=has_widgets())
    display = Display(work, sys.stderr, form, read=read)
    with stage(work, outermost=True), ticking(display.look, BAR if form != "nothing" else None):
        try:
            yield display
        finally:
            display.close()


@contextmanager
def ticking(act: Callable[[], None], period: float | None) -> Iterator[None]:
    """Do something every so many seconds, in a thread that ends with the block; nothing without a period."""
    ended = Event()

    def tick() -> None:
        while not ended.wait(period):
            act()

    thread = Thread(target=tick, daemon=True)
    if period is not None:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if period is not None:
            thread.join()

"""One line that says how far work is, and how long it still takes."""

import math
from datetime import datetime, timedelta

from eval.progress.together import Together
from generators.progress import Stage

SURE = 0.01
"""The share that must be done before what is left is estimated from it."""
SOON = 600.0
"""Seconds from which on the time of day is said at which work ends."""


def seconds_left(share: float, before: float, seconds: float) -> float:
    """How long work still takes, if it goes on as it went so far; NaN where nothing can be said.

    Args:
        share: that is done, in [0, 1].
        before: that was done before it was begun this time.
        seconds: since then.

    Example:
        >>> seconds_left(0.75, 0.5, 10.0), seconds_left(0.5, 0.5, 10.0)
        (10.0, nan)
    """
    done = share - before
    return seconds * (1 - share) / done if done >= SURE else math.nan


def duration(seconds: float) -> str:
    """As a clock shows it.

    Example:
        >>> duration(7.2), duration(130.0), duration(21_600.0)
        ('0:07', '2:10', '6:00:00')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def where(work: Stage) -> str:
    """What is under way, from the whole to the smallest part.

    Example:
        >>> search = Stage("ε50% PGD L∞", 1000, "sample", done=610)
        >>> where(Stage("AT", 5, "measurement", done=1, part=search))
        'AT, measurement 2 of 5, ε50% PGD L∞, 390 of 1,000 samples left'
    """
    if isinstance(work, Together):
        parts = [f"{work.done:,} of {work.total:,} {work.unit}s done", *work.told]
        return f"{work.title}: " + "; ".join([*parts, *([where(work.part)] if work.part is not None else [])])
    told = [work.title] if work.title else []
    if work.total and work.unit:
        number = f"{work.unit} {min(work.done + 1, work.total):,} of {work.total:,}"
        left = f"{work.total - work.done:,} of {work.total:,} {work.unit}s left"
        told.append(left if work.part is None else number)
    if work.part is not None and (inner := where(work.part)):
        told.append(inner)
    return ", ".join(told)


def line(work: Stage, before: float, seconds: float, now: datetime, what: str = "") -> str:
    """The whole line.

    Args:
        work: the outermost stage.
        before: share of it that was done before it was begun this time.
        seconds: since then.
        now: the time of day.
        what: is said in place of what is under way.

    Example:
        >>> search = Stage("digits", 1000, "sample", done=250)
        >>> line(search, 0.0, 300.0, datetime(2026, 1, 1, 14, 0))
        '25 % after 5:00, about 15:00 left, until 14:15: digits, 750 of 1,000 samples left'
    """
    share = work.share
    left = seconds_left(share, before, seconds)
    told = [f"after {duration(seconds)}" if math.isnan(share) else f"{100 * share:.0f} % after {duration(seconds)}"]
    if not math.isnan(left) and share < 1:
        told.append(f"about {duration(left)} left")
        if left >= SOON:
            end = now + timedelta(seconds=left)
            told.append(f"until {end:%H:%M}" if end.date() == now.date() else f"until {end:%a %H:%M}")
    return f"{', '.join(told)}: {what or where(work)}"

"""What several parts of a report are made of is made once for each folder's records."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

Key = TypeVar("Key")
Made = TypeVar("Made")


def once(make: Callable[[Key], Made]) -> Callable[[Key], Made]:
    """Keep what a function makes of its one argument for as long as the argument lives.

    It is shared by all who ask, so nobody should change it; and it should not hold the argument, which never died.

    Args:
        make: a function of one object that is told from others by what it is, not by what it holds.
    """
    kept: WeakKeyDictionary[Any, Made] = WeakKeyDictionary()

    @wraps(make)
    def kept_or_made(key: Key) -> Made:
        if key not in kept:
            kept[key] = make(key)
        return kept[key]

    return kept_or_made

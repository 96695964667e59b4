"""Checks of values, made at once or later.

To look at a value that lies on a GPU makes the host wait for it. Work that must not wait, such as a training step
that is recorded as a graph, notes what its checks found, and whoever runs it looks at all of them at once.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

Message = Callable[[int], str]
"""What is said, from how many values are wrong."""


class Deferred:
    """Checks that were made and not looked at yet."""

    def __init__(self) -> None:
        self.found: list[tuple[Tensor, Message]] = []

    def count(self) -> Tensor:
        """How many values each check found wrong, one number per check, on the device."""
        return torch.stack([wrong.reshape(()).to(torch.int64) for wrong, _ in self.found])

    def refuse(self, counts: list[int]) -> None:
        """Raise what the first check says that found something.

        Args:
            counts: of each check, read from `count`.

        Raises:
            ValueError: if there is one.
        """
        for (_, message), wrong in zip(self.found, counts, strict=True):
            if wrong:
                raise ValueError(message(wrong))

    def settle(self) -> None:
        """Look at all of them, which waits for the device once, and forget them.

        Raises:
            ValueError: if a check found something.
        """
        if self.found:
            counts = self.count().tolist()
            try:
                self.refuse(counts)
            finally:
                self.found.clear()


class _Current(threading.local):
    checks: Deferred | None = None


_current = _Current()


def refuse_if(wrong: Tensor, message: Message) -> None:
    """Refuse if a number of wrong values is not 0: at once, or, within `deferred`, when its checks are settled.

    Args:
        wrong: a number, or whether anything is wrong, of one element.
        message: what is said; called only where something is.

    Raises:
        ValueError: if it is not 0 and checks are not deferred.
    """
    if _current.checks is not None:
        _current.checks.found.append((wrong, message))
    elif found := int(wrong):
        raise ValueError(message(found))


@contextmanager
def deferred() -> Iterator[Deferred]:
    """Note what checks find instead of looking at it; whoever asks for this settles them."""
    outer, checks = _current.checks, Deferred()
    _current.checks = checks
    try:
        yield checks
    finally:
        _current.checks = outer


@contextmanager
def together() -> Iterator[None]:
    """Look at the checks made within at once, at its end; within `deferred`, leave them to whoever settles those.

    Raises:
        ValueError: what the first check says that found something.
    """
    if _current.checks is not None:
        yield
        return
    with deferred() as checks:
        yield
    checks.settle()

"""Processes that end at once, with whoever started them."""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from threading import RLock
from typing import Any

from tqdm import tqdm

from eval.studies.parent import end_with_parent

PATIENCE = 3.0
"""Seconds in which a process that is told to end should have ended."""


@contextmanager
def processes(
    number: int, context: BaseContext, begin: Callable[..., object], *args: Any
) -> Iterator[ProcessPoolExecutor]:
    """A pool whose processes are ended, in the middle of their work, where the block is left by an error.

    Args:
        number: of processes.
        context: how they are started.
        begin: is called first in each of them.
        args: of that.
    """
    others = {*active_children()}
    pool = ProcessPoolExecutor(number, context, _begin, (begin, args))
    try:
        yield pool
    except BaseException:
        end([child for child in active_children() if child not in others])
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def end(children: list[BaseProcess]) -> None:
    """End processes, whatever they are doing; what they write appears whole or not at all."""
    for child in children:
        child.terminate()
    for child in children:
        child.join(PATIENCE)
        if child.is_alive():
            child.kill()


def _begin(begin: Callable[..., object], args: tuple[Any, ...]) -> None:
    """Leave interruptions to whoever started the process, which ends it: it says so once, and without a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with_parent()
    tqdm.set_lock(RLock())  # its usual one is of all processes, and would outlive one that is ended
    begin(*args)

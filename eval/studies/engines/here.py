"""Work in this process, or in several of this machine."""

import gc
import os
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from eval.studies.engines.engine import Crew, Result
from eval.studies.engines.worker import done, quiet
from eval.studies.processes import processes
from eval.studies.starting import workers_context
from eval.studies.tasks import Done, Task

NOWHERE = Path(os.devnull) / "alphadx"
"""No folder, and none that can be made."""


@dataclass(frozen=True)
class Here:
    """This machine.

    Args:
        jobs: processes; 1 for this one.
        cores: that they share; None for all that there are.
    """

    jobs: int = 1
    cores: int | None = None
    apart = False

    @contextmanager
    def crew(self) -> Iterator[Crew]:
        """This process, or others, which end with the block."""
        with _place() as told:
            if self.jobs == 1:
                with warnings.catch_warnings():
                    quiet()
                    yield Alone(told)
                return
            context = workers_context()
            threads = max(1, (self.cores or os.cpu_count() or 1) // self.jobs)
            # The process that they are forked from may have been started before the environment was what it is.
            with processes(self.jobs, context, begin, threads, dict(os.environ)) as pool:
                yield Several(pool, told)


@contextmanager
def _place() -> Iterator[Path]:
    """Where processes say how far they are; where temporary files have no place, nothing is."""
    try:
        folder = TemporaryDirectory(prefix="alphadx-", ignore_cleanup_errors=True)
    except OSError:
        yield NOWHERE
        return
    with folder as told:
        yield Path(told)


class Alone:
    """This process, which does what it is given at once; its stage is a part of the one that is shown."""

    def __init__(self, told: Path) -> None:
        self.told = told
        self.most: int | None = 1
        self._given: dict[int, Task] = {}

    def send(self, tasks: Mapping[int, Task]) -> None:
        """Note a task."""
        self._given |= tasks

    def ended(self) -> Iterator[tuple[int, Result]]:
        """Each task, to be done now."""
        while self._given:
            number, task = self._given.popitem()
            yield number, partial(done, task)


class Several:
    """A pool of processes."""

    def __init__(self, pool: ProcessPoolExecutor, told: Path) -> None:
        self.pool, self.told = pool, told
        self.most: int | None = None
        self._waiting: dict[Future[Mapping[str, Done]], int] = {}

    def send(self, tasks: Mapping[int, Task]) -> None:
        """Put tasks into the queue of the pool."""
        for number, task in tasks.items():
            self._waiting[_submitted(self.pool, partial(done, task, self.told))] = number

    def ended(self) -> Iterator[tuple[int, Result]]:
        """What has ended."""
        ready, _ = wait(self._waiting, return_when=FIRST_COMPLETED)
        for future in ready:
            yield self._waiting.pop(future), partial(_result, future)


def _submitted(pool: ProcessPoolExecutor, do: Result) -> "Future[Mapping[str, Done]]":
    try:
        return pool.submit(do)
    except BrokenProcessPool as error:
        broken: Future[Mapping[str, Done]] = Future()
        broken.set_exception(error)
        return broken


def _result(future: "Future[Mapping[str, Done]]") -> Mapping[str, Done]:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise ValueError(
            "a process was ended from outside, perhaps for want of memory. Start again, with fewer --jobs."
        ) from error


def begin(threads: int, environment: Mapping[str, str]) -> None:
    """What a process does first."""
    os.environ.update(environment)
    gc.freeze()  # the libraries stay; to look through them takes long, and is done whenever a graph is recorded
    quiet(threads)

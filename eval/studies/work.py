"""Pieces of work in turn or in several processes; one that fails leaves the others."""

import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from eval.fit.telling import LOGGERS
from eval.progress import shown
from eval.progress.together import Together
from eval.progress.workers import reported
from eval.studies.processes import processes
from generators.progress import Stage

START = "forkserver" if "forkserver" in get_all_start_methods() else "spawn"
"""How processes start: forked from one that has loaded the libraries, and nothing else, where the system can."""
PRELOADED = "eval.studies.cells"
"""What is loaded: whatever a model of a study needs, which each process would import anew."""


@dataclass
class Done:
    """What came of one model.

    Attributes:
        seconds: it took.
        failures: a sentence for everything that failed.
        notes: what a reader should know.
        new: whether anything was left to be done.
    """

    seconds: float
    failures: list[str]
    notes: list[str] = field(default_factory=list)
    new: bool = True


@dataclass(frozen=True)
class Task:
    """A piece of work.

    Attributes:
        names: of the models that it is about.
        do: does it, and returns what came of each; models that it leaves to others are missing.
    """

    names: tuple[str, ...]
    do: Callable[[], Mapping[str, Done]]


def all_done(tasks: Sequence[Task], title: str, jobs: int, cores: int) -> dict[str, Done]:
    """Do some work, and return what came of each model."""
    done: dict[str, Done] = {}
    total = sum(len(task.names) for task in tasks)
    work = Together(title, total, "model")
    with TemporaryDirectory(prefix="alphadx-") as told, shown(work, partial(work.read, Path(told))):
        finished = _in_turn(tasks) if jobs == 1 else _at_once(tasks, jobs, max(1, cores // jobs), Path(told))
        for found in finished:
            work.done += len(found)
            work.repeated += sum(not model.new for model in found.values())
            done |= found
    return done


def failures(done: Mapping[str, Done]) -> list[str]:
    """A sentence for everything that failed, with the name of its model."""
    return [f"{name}: {sentence}" for name, model in done.items() for sentence in model.failures]


def _in_turn(tasks: Sequence[Task]) -> Iterator[Mapping[str, Done]]:
    with warnings.catch_warnings():
        quiet()
        for task in tasks:
            yield _survived(task)  # its stage is a part of the one that is shown


def _at_once(tasks: Sequence[Task], jobs: int, threads: int, told: Path) -> Iterator[Mapping[str, Done]]:
    context = get_context(START)
    if START == "forkserver":
        context.set_forkserver_preload([PRELOADED])
    # The process that they are forked from may have been started before the environment was what it is.
    with processes(jobs, context, _begin, threads, dict(os.environ)) as pool:
        waiting = {pool.submit(_survived, task, told): task for task in tasks}
        for future in as_completed(waiting):
            yield _survived(Task(waiting[future].names, partial(_result, future)))


def _result(future: "Future[Mapping[str, Done]]") -> Mapping[str, Done]:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise ValueError(
            "a process was ended from outside, perhaps for want of memory. Start again, with fewer --jobs."
        ) from error


def _survived(task: Task, told: Path | None = None) -> Mapping[str, Done]:
    """Do a task, and say how far it is: in a folder that another process reads, if one is named."""
    started = time.perf_counter()
    try:
        with reported(Stage(", ".join(task.names), len(task.names), ""), told):
            return task.do()
    except Exception as error:
        return {name: failed(error, time.perf_counter() - started) for name in task.names}


def survived(model: Callable[[], Done]) -> Done:
    """What came of a model, also where it failed: a study outlives a model."""
    started = time.perf_counter()
    try:
        return model()
    except Exception as error:  # what a user's own network or data set may raise is not known
        return failed(error, time.perf_counter() - started)


def failed(error: Exception, seconds: float) -> Done:
    """A model that an error has ended."""
    told = re.sub(r"^\[Errno \d+\] ", "", str(error))
    return Done(seconds, [f"{type(error).__name__}: {told}"])


def _begin(threads: int, environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    quiet(threads)


def quiet(threads: int | None = None) -> None:
    """Silence but for errors and, in a worker, its share of the cores."""
    if threads is not None:
        torch.set_num_threads(threads)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", category=FutureWarning)
    # Torch's thread of backward passes says so when it first uses a GPU.
    warnings.filterwarnings("ignore", "Attempting to run cuBLAS")

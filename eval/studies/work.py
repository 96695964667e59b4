"""Pieces of work in turn or in several processes; one that fails leaves the others."""

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import torch
from tqdm import tqdm

Work = Mapping[str, Callable[[], "Done"]]
"""What is to be done, by name."""


@dataclass
class Done:
    """What came of a piece of work: the seconds it took, and a sentence for everything that failed."""

    seconds: float
    failures: list[str]


def all_done(work: Work, title: str, jobs: int, cores: int) -> list[str]:
    """Do some work, and return a sentence for everything that failed."""
    failures: list[str] = []
    finished = _in_turn(work) if jobs == 1 else _at_once(work, jobs, max(1, cores // jobs))
    with tqdm(total=len(work), unit="model", desc=title, disable=not work) as bar:
        for name, done in finished:
            bar.set_postfix_str(f"{name}, {done.seconds:.0f} s")
            bar.update()
            failures += [f"{name}: {sentence}" for sentence in done.failures]
    return failures


def _in_turn(work: Work) -> Iterator[tuple[str, Done]]:
    with warnings.catch_warnings():
        quiet()
        for name, task in work.items():
            yield name, _survived(task)


def _at_once(work: Work, jobs: int, threads: int) -> Iterator[tuple[str, Done]]:
    with ProcessPoolExecutor(jobs, get_context("spawn"), quiet, (threads,)) as pool:
        waiting = {pool.submit(_survived, task): name for name, task in work.items()}
        for done in as_completed(waiting):
            yield waiting[done], _survived(partial(_result, done))


def _result(done: "Future[Done]") -> Done:
    try:
        return done.result()
    except BrokenProcessPool as error:
        raise ValueError(
            "a process was ended from outside, perhaps for want of memory. Start again, with fewer --jobs."
        ) from error


def _survived(task: Callable[[], Done]) -> Done:
    """What came of a task, also where it failed: a study outlives a model."""
    started = time.perf_counter()
    try:
        return task()
    except Exception as error:  # what a user's own network or data set may raise is not known
        return Done(time.perf_counter() - started, [f"{type(error).__name__}: {error}"])


def quiet(threads: int | None = None) -> None:
    """Silence but for errors and, in a worker, its share of the cores."""
    if threads is not None:
        torch.set_num_threads(threads)
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", category=FutureWarning)

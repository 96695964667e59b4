"""Several trainings in one process: one runs at a time, and the steps of all are taken together.

Each has a thread of its own, and a baton says whose turn it is. A training gives the baton away at one point alone:
where it hands in work, such as a step. When all have handed in work it is done at once, as one CUDA graph where that
is possible, else in turn; then each goes on. So nothing of a training needs to know of the others, and all of it,
its checkpoints, its validation and its end, is that of a training alone.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from threading import Semaphore, Thread
from typing import Any, Generic, TypeVar, cast

import torch
from torch import nn

from training.graphs import Repeated, Work, capturing
from training.process_state import ProcessState

PHASES = ("closest class", "step")
"""Kinds of work in the order in which a training step has them: the first part of a key of `RecordedTraining`."""

LOOK = 0.1
"""Seconds between two looks for an interruption, of which the thread that waits is not told where another has it."""

Result = TypeVar("Result")


class Stopped(BaseException):
    """Ends a training because all of them end."""


@dataclass
class Handed:
    """Work that is handed in.

    Attributes:
        member: whose it is.
        key: the same for the same work on the same tensors.
        work: to be done.
        generator: from which it draws.
        rank: whose turn it is: the lowest is done first, and with it all of the same rank.
    """

    member: "Member"
    key: tuple[Any, ...]
    work: Work
    generator: torch.Generator
    rank: tuple[int, int]


class Member:
    """One of several trainings: runs its work, and knows the seconds that are its own.

    Attributes:
        together: with how many, itself among them, work was done at once, at most.
    """

    def __init__(self, group: "SideBySide[Any]", number: int) -> None:
        self.group, self.number = group, number
        self.turn = Semaphore(0)
        self.state = ProcessState()
        self.active = True
        self.handed: Handed | None = None
        self.error: Exception | None = None
        self.times: Counter[str] = Counter()
        self.together = 1
        self.seconds = 0.0
        self.since: float | None = None

    def __call__(self, key: tuple[Any, ...], work: Work, generator: torch.Generator) -> None:
        """Hand in work, and go on once it is done.

        Args:
            key: what it is, with its phase first: the same key stands for the same work on the same tensors.
            work: reads and writes nothing that belongs to another member.
            generator: on the device, from which it draws.
        """
        phase = key[0]
        self.times[phase] += 1
        rank = self.times[phase], PHASES.index(phase)
        self.handed = Handed(self, (self.number, *key), work, generator, rank)
        self._pause()
        self.group.pass_on()
        self.wait()
        error, self.error = self.error, None
        if error is not None:
            raise error

    def clock(self) -> float:
        """Seconds of its own: while it had the baton, and its share of what was done together."""
        running = 0.0 if self.since is None else time.perf_counter() - self.since
        return self.seconds + running

    def wait(self) -> None:
        """Wait for the baton; if it comes so that work is done, do that of all before.

        Raises:
            Stopped: if all are to end.
        """
        self.turn.acquire()
        if self.group.stopping:
            raise Stopped
        if self.handed is not None:
            self.group.do_together()
        self.state.restore()
        self.since = time.perf_counter()

    def given(self) -> Handed:
        """What it has handed in."""
        assert self.handed is not None
        return self.handed

    def do(self, work: Work) -> None:
        """Its part of what is done together; an error is kept for it alone, unless the work is only recorded."""
        if capturing():
            work()
            return
        try:
            work()
        except Exception as error:  # what a user's own network may raise is not known
            self.error = error

    def end(self) -> None:
        """Give the baton away for good."""
        self._pause()
        self.active, self.handed = False, None

    def _pause(self) -> None:
        self.seconds, self.since = self.clock(), None
        self.state = ProcessState()


class SideBySide(Generic[Result]):
    """Trainings that take their steps together.

    Those that have handed in as much work as any other wait for the others: all are at the same step, from the first
    to the last of the shortest one, wherever in their epochs they begin. One that hands in nothing runs to its end
    while the others wait.

    Args:
        trainings: each is called in a thread of its own, with its member of the group, which runs its work.
    """

    def __init__(self, trainings: Sequence[Callable[[Member], Result]]) -> None:
        self.trainings = trainings
        self.members = [Member(self, number) for number in range(len(trainings))]
        self.outcomes: list[Any] = [None] * len(trainings)
        self.finished = Semaphore(0)
        self.stopping = False
        self.repeated: Repeated | None = None
        self.underway: tuple[torch.cuda.Event, list[Member]] | None = None

    def run(self) -> list[Result | Exception]:
        """Train all; returns for each what it returned or the error that ended it.

        Raises:
            BaseException: what is no error, such as KeyboardInterrupt, here or in a training: all are ended, each at
                its next step.
        """
        before = ProcessState()
        device = torch.cuda.current_device() if torch.cuda.is_initialized() else None
        # Daemons, so that whoever interrupts a second time does not wait for them.
        threads = [
            Thread(target=copy_context().run, args=(self._live, member, device), daemon=True)
            for member in self.members
        ]
        for thread in threads:
            thread.start()
        try:
            self.pass_on()
            self._await()
        finally:
            before.restore()
        for outcome in self.outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, Exception | Stopped):
                raise outcome
        return self.outcomes

    def _await(self) -> None:
        """Wait for the end of all; if that is interrupted, end them."""
        try:
            while not self.finished.acquire(timeout=LOOK):
                pass
        except BaseException:
            self.stopping = True
            self.finished.acquire()
            raise

    def _live(self, member: Member, device: int | None) -> None:
        """A training from beginning to end, in its own thread."""
        try:
            member.wait()
            if device is not None:
                torch.cuda.set_device(device)
            self.outcomes[member.number] = self.trainings[member.number](member)
        except BaseException as error:
            self.outcomes[member.number] = error
            self.stopping = self.stopping or not isinstance(error, Exception)
        self._forget(member)
        member.end()
        self.pass_on()

    def _forget(self, member: Member) -> None:
        """Let go of the graphs that hold work of a member that has ended."""
        if self.repeated is not None:
            self.repeated.forget(
                lambda key: any(number == member.number for number, *_ in cast(tuple[Any, ...], key))
            )

    def pass_on(self) -> None:
        """Give the baton to one that can go on, or to the first of those whose work is to be done."""
        active = [member for member in self.members if member.active]
        ready = [member for member in active if member.handed is None]
        if following := ready or self._served():
            following[0].turn.release()
        else:
            self.finished.release()

    def _served(self) -> list[Member]:
        """Those whose work is done next, once all have handed in work."""
        waiting = [member for member in self.members if member.handed is not None]
        lowest = min((member.given().rank for member in waiting), default=None)
        return [member for member in waiting if member.given().rank == lowest]

    def do_together(self) -> None:
        """Do the work whose turn it is, in the thread of the first of those whose it is.

        The same work is so always done in the same thread, for which a GPU's libraries have made what they need
        before a graph is recorded; and under the autocast of a member: they share their precision.
        """
        served = self._served()
        self._finish()
        with shared(served):
            self._repeat([member.given() for member in served])
        for member in served:
            member.handed = None
            member.together = max(member.together, len(served))

    def _repeat(self, given: list[Handed]) -> None:
        device = given[0].generator.device
        if self.repeated is None:
            self.repeated = Repeated(device)
        pieces = [partial(each.member.do, each.work) for each in given]
        torch.clear_autocast_cache()  # weights cast before have moved since, if another thread moved them
        self.repeated(tuple(each.key for each in given), pieces, [each.generator for each in given])
        torch.clear_autocast_cache()
        if device.type == "cuda":
            event = torch.cuda.Event()
            event.record()
            self.underway = event, [each.member for each in given]

    def _finish(self) -> None:
        """Wait for what was done together last, so that those whose it was share the seconds, not who looks first."""
        if self.underway is not None:
            (event, members), self.underway = self.underway, None
            with shared(members):
                event.synchronize()


@contextmanager
def shared(members: Sequence[Member]) -> Iterator[None]:
    """Count the seconds of what is done within as those of some members, in equal parts."""
    started = time.perf_counter()
    try:
        yield
    finally:
        for member in members:
            member.seconds += (time.perf_counter() - started) / len(members)


def draws(network: nn.Module, shape: Sequence[int]) -> bool:
    """Whether a network in training draws random numbers, as dropout does, from a generator that all share.

    Networks that do are not trained side by side: a graph of several would draw for all from one sequence.

    Args:
        network: on the CPU; left as it was found.
        shape: of one input.
    """
    tried = deepcopy(network).train()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        before = torch.get_rng_state()
        tried(torch.zeros(2, *shape))
        return not torch.equal(torch.get_rng_state(), before)

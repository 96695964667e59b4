"""Processes that measure one model together: the costly calls are dealt out, and all know what every one found.

Whatever decides what comes next is done by all of them alike. An error of one is raised on all, so that none waits
for what never comes.
"""

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, TypeVar, cast

from torch import distributed

from alignment.contracts import check_counts

Result = TypeVar("Result")

ARRIVAL = 120.0
"""Seconds in which all processes have to have come."""

LONGEST = timedelta(days=7)
"""Time that one process may need for its share while the others wait; one that ends is noticed at once."""

_group: ContextVar[Any] = ContextVar("group", default=None)


class ProcessLost(ConnectionError):
    """Another process of the group has ended before its work was done."""


def processes() -> int:
    """Processes that measure together here; 1 outside of `together`."""
    return 1 if _group.get() is None else distributed.get_world_size(_group.get())


def rank() -> int:
    """The number of this process among them."""
    return 0 if _group.get() is None else distributed.get_rank(_group.get())


@contextmanager
def together(arrival: float = ARRIVAL) -> Iterator[None]:
    """Divide what is measured within among the processes of the default process group of torch.distributed.

    All of them have to come here, with the same model, samples and options, and all return what one alone would, as
    long as a batch holds as many samples. Without a process group nothing changes.

    Args:
        arrival: seconds in which all processes have to have come.

    Raises:
        ValueError: if they do not come in that time.
        ProcessLost: if one of them ends while the others need it.
    """
    if _group.get() is not None or _size() == 1:
        yield
        return
    group = _met(arrival)
    token = _group.set(group)
    try:
        yield
    finally:
        _group.reset(token)
        distributed.destroy_process_group(group)


def _size() -> int:
    """Processes of the default group; 1 without one."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def _met(arrival: float) -> Any:
    """A group for objects, which are exchanged by way of the CPU, whatever tensors are exchanged by."""
    check_counts(1, arrival=int(arrival))
    try:
        distributed.destroy_process_group(_gloo(timedelta(seconds=arrival)))
        return _gloo(LONGEST)
    except RuntimeError as error:
        raise ValueError(
            f"All {_size()} processes of the process group should measure together. Found that not all of them came "
            f"within {arrival:g} s. Call it in each of them, or in one after destroy_process_group()."
        ) from error


def _gloo(timeout: timedelta) -> Any:
    group: Any = distributed.new_group(backend="gloo", timeout=timeout)
    distributed.monitored_barrier(group, timeout)
    return group


def shared(work: Callable[[], Result]) -> list[Result]:
    """What every process finds, in their order; tensors should be on the CPU.

    Raises:
        Exception: what the work raised on the first process on which it did, on all of them.
        ProcessLost: if one has ended.
    """
    if processes() == 1:
        return [work()]
    result, failed = None, None
    try:
        result = work()
    except Exception as error:
        if is_known_to_all(error):
            raise
        failed = error
    found = _exchanged((result, failed if failed is None else _sendable(failed)))
    errors = [error for _, error in found]
    first = next((number for number, error in enumerate(errors) if error is not None), None)
    if first is None:
        return [value for value, _ in found]
    raised = failed if failed is not None and first == rank() else errors[first]
    assert raised is not None
    raised.add_note(f"{KNOWN}: raised by process {first} of {len(found)}")
    raise raised


def agreed(work: Callable[[], Result]) -> Result:
    """What this process finds, once all have found something; an error of one is raised on all, see `shared`."""
    own: list[Result] = []
    shared(lambda: own.append(work()))
    return own[0]


def by_the_first(work: Callable[[], Result]) -> Result:
    """What the first process finds, on all of them: for what must be written or drawn once."""
    found: list[Any] = shared(lambda: work() if rank() == 0 else None)
    return found[0]


KNOWN = "Known to all processes"
"""What the notes of errors begin with that every process has seen."""


def is_known_to_all(error: BaseException | None) -> bool:
    """Whether an error, or what led to it, was raised on all processes."""
    if error is None:
        return False
    if isinstance(error, ProcessLost) or any(note.startswith(KNOWN) for note in getattr(error, "__notes__", ())):
        return True
    return is_known_to_all(error.__cause__) or is_known_to_all(error.__context__)


def _sendable(error: Exception) -> Exception:
    """An error as others can read it: of the same kind to whoever catches it."""
    try:
        return cast("Exception", pickle.loads(pickle.dumps(error)))
    except Exception:  # what a class of a user's own raises here is not known
        kinds = (MemoryError, ValueError, OSError, RuntimeError)
        kind = next((kind for kind in kinds if isinstance(error, kind)), Exception)
        return kind(f"{type(error).__name__}: {error}")


def _exchanged(own: Any) -> list[Any]:
    """What all processes bring."""
    found: list[Any] = [None] * processes()
    try:
        distributed.all_gather_object(found, own, group=_group.get())
    except RuntimeError as error:
        raise ProcessLost(
            "Another process that measured with this one has ended. Start all of them again: what is recorded is not "
            "measured again."
        ) from error
    return found

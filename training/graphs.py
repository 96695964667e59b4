"""Work on fixed tensors that a GPU is told once and does again and again, without the host in between.

A CUDA graph holds the kernels of one call; its replay launches them all together. What is recorded must work on
tensors that stay where they are, and must not look at a value. Random numbers are drawn anew at every replay, from
generators that are told beforehand.
"""

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch

Work = Callable[[], None]
"""Reads and writes tensors that stay where they are."""


class Graph:
    """Pieces of work recorded as one CUDA graph, each on a stream of its own, so that a GPU does them side by side.

    To record does not do the work; nothing is computed before the first replay.

    Args:
        pieces: of work, none of which uses what another one writes.
        generators: on the device, from which random numbers are drawn, beside the global one.

    Raises:
        RuntimeError: if the work waits for the device, or does what else a graph cannot hold.
    """

    def __init__(self, pieces: Sequence[Work], generators: Sequence[torch.Generator] = ()) -> None:
        self.graph = torch.cuda.CUDAGraph()
        for generator in generators:
            self.graph.register_generator_state(generator)
        side = [torch.cuda.Stream() for _ in pieces[1:]]
        torch.clear_autocast_cache()  # weights cast before are cast anew by every replay
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            current = torch.cuda.current_stream()
            for stream, work in zip(side, pieces[1:], strict=True):
                stream.wait_stream(current)
                with torch.cuda.stream(stream):
                    work()
            pieces[0]()
            for stream in side:
                current.wait_stream(stream)
        torch.clear_autocast_cache()

    def replay(self) -> None:
        """Do the work, on what the tensors hold now."""
        self.graph.replay()


def capturing() -> bool:
    """Whether what is done now is recorded."""
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()


class _Recording(threading.local):
    off = False


_recording = _Recording()


@contextmanager
def unrecorded() -> Iterator[None]:
    """Let nothing within be recorded by itself: it is part of something that will be, or must see every call."""
    outer, _recording.off = _recording.off, True
    try:
        yield
    finally:
        _recording.off = outer


def may_record(device: torch.device) -> bool:
    """Whether work on a device may be recorded: on a CUDA device, and not within `unrecorded` or a recording."""
    return device.type == "cuda" and not _recording.off and not capturing()


@contextmanager
def waits() -> Iterator[list[str]]:
    """Collect what waits for the device meanwhile, a sentence for each; such work cannot be recorded."""
    found: list[str] = []
    with ExitStack() as stack:
        if torch.cuda.is_available():
            stack.enter_context(_debugging("warn"))
        caught = stack.enter_context(warnings.catch_warnings(record=True))
        warnings.filterwarnings("always", message=".*synchronizing CUDA operation.*")
        yield found
    for warning in caught:
        text = str(warning.message)
        if "synchronizing CUDA operation" in text:
            found.append(f"{warning.filename}:{warning.lineno}")
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


@contextmanager
def _debugging(mode: str) -> Iterator[None]:
    outer = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode(mode)
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(outer)

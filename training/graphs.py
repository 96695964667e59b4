"""Work on fixed tensors that a GPU is told once and does again and again, without the host in between.

A CUDA graph holds the kernels of one call; its replay launches them all together. What is recorded must work on
tensors that stay where they are, and must not look at a value. Random numbers are drawn anew at every replay, from
generators that are told beforehand.
"""

import gc
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch

PLAINLY = 2
"""How often work is done plainly before it is recorded: what is made on first use must not become part of it."""

MOST = 8
"""Graphs that are kept; of more, those that were used last."""

Work = Callable[[], None]
"""Reads and writes tensors that stay where they are."""


class Graph:
    """Pieces of work recorded as one CUDA graph, each on a stream of its own, so that a GPU does them side by side.

    To record does not do the work; nothing is computed before the first replay.

    Args:
        pieces: of work, none of which uses what another one writes.
        generators: on the device, from which random numbers are drawn, beside the global one.
        beside: a graph that is never replayed at the same time, to take memory for intermediate results from.

    Raises:
        RuntimeError: if the work waits for the device, or does what else a graph cannot hold.
    """

    def __init__(
        self, pieces: Sequence[Work], generators: Sequence[torch.Generator] = (), beside: "Graph | None" = None
    ) -> None:
        self.graph = torch.cuda.CUDAGraph()
        for generator in generators:
            self.graph.register_generator_state(generator)
        side = [torch.cuda.Stream() for _ in pieces[1:]]
        torch.clear_autocast_cache()  # weights cast before are cast anew by every replay
        _forget_workspaces()
        pool = None if beside is None else beside.graph.pool()
        with _nothing_collected(), torch.cuda.graph(self.graph, pool, capture_error_mode="thread_local"):
            current = torch.cuda.current_stream()
            for stream, work in zip(side, pieces[1:], strict=True):
                stream.wait_stream(current)
                with torch.cuda.stream(stream):
                    work()
            pieces[0]()
            for stream in side:
                current.wait_stream(stream)
        torch.clear_autocast_cache()
        _forget_workspaces()

    def replay(self) -> None:
        """Do the work, on what the tensors hold now."""
        self.graph.replay()


class Repeated:
    """Work that is done again and again: plainly at first, to warm up, then as a graph where that is possible.

    Args:
        device: where it is done; only on a CUDA device it becomes a graph.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.times: Counter[Hashable] = Counter()
        self.graphs: dict[Hashable, Graph] = {}
        self.reason: str | None = None

    def __call__(self, key: Hashable, pieces: Sequence[Work], generators: Sequence[torch.Generator] = ()) -> None:
        """Do some work.

        Args:
            key: what it is: the same key stands for the same work on the same tensors.
            pieces: none of which uses what another one writes; a graph does them side by side.
            generators: on the device, from which they draw, beside the global one.
        """
        self.times[key] += 1
        if self.recorded(key, pieces, generators):
            self.graphs[key] = self.graphs.pop(key)  # the last in the order of use
            self.graphs[key].replay()
        elif self.reason is None and may_record(self.device):
            self._watched(pieces)
        else:
            _in_turn(pieces)

    def recorded(self, key: Hashable, pieces: Sequence[Work], generators: Sequence[torch.Generator]) -> bool:
        """Whether there is a graph of this work; made now if it has been done plainly often enough."""
        if key not in self.graphs and self.reason is None and self.times[key] > PLAINLY and may_record(self.device):
            try:
                beside = next(iter(self.graphs.values()), None)
                self.graphs[key] = Graph([partial(_alone, work) for work in pieces], generators, beside)
            except RuntimeError as error:
                self.give_up(str(error).partition("\n")[0])
        for oldest in [*self.graphs][:-MOST]:
            del self.graphs[oldest]
        return key in self.graphs

    def forget(self, which: Callable[[Hashable], bool]) -> None:
        """Let go of the graphs of some keys, and their memory."""
        self.graphs = {key: graph for key, graph in self.graphs.items() if not which(key)}

    def give_up(self, reason: str) -> None:
        """Do all work plainly from now on, and say so once."""
        self.reason = reason
        self.graphs.clear()
        warnings.warn(f"steps are taken one kernel at a time, not as a CUDA graph: {reason}", stacklevel=2)

    def _watched(self, pieces: Sequence[Work]) -> None:
        with waits() as found:
            _in_turn(pieces)
        if found:
            self.give_up(f"they wait for the device at {found[0]}")


class Alone:
    """Does the work of one training, see `Repeated`.

    Args:
        device: where it is done.
    """

    def __init__(self, device: torch.device) -> None:
        self.repeated = Repeated(device)

    def __call__(self, key: Hashable, work: Work, generator: torch.Generator) -> None:
        """Do some work, which draws from a generator, see `Repeated`."""
        self.repeated(key, [work], [generator])


def _in_turn(pieces: Sequence[Work]) -> None:
    for work in pieces:
        _alone(work)


def _alone(work: Work) -> None:
    """Do work of which no part is recorded by itself."""
    with unrecorded():
        work()


def capturing() -> bool:
    """Whether what is done now is recorded."""
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()


def _forget_workspaces() -> None:
    """Let cuBLAS take new workspaces: those of a graph from that graph's memory, which is kept as long as it is.

    It keeps one for each stream otherwise, and graphs are recorded on few streams. With one graph its workspace would
    go that others still write to: https://github.com/pytorch/pytorch/issues/193402.
    """
    torch._C._cuda_clearCublasWorkspaces()


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Let Python collect no garbage: a graph that is let go of while another one is recorded breaks it."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


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
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with _told_of_waits():
            yield found
    for warning in caught:
        text = str(warning.message)
        if "synchronizing CUDA operation" in text:
            found.append(f"{warning.filename}:{warning.lineno}")
        elif "Synchronization debug mode" not in text:  # which torch says of itself
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


@contextmanager
def _told_of_waits() -> Iterator[None]:
    """Let torch warn of every operation that waits for the device."""
    if not torch.cuda.is_available():
        yield
        return
    outer = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(outer)

"""Steps of an attack on a classifier as CUDA graphs: recorded once per shape, replayed for every batch of that shape.

A recording is used while the classifier is what it was: the same tensors in the same memory, no hooks, the same
precision; and its first logits are held against those of a plain call, since what a network decides in Python cannot
be seen otherwise.
"""

import warnings
from collections.abc import Callable, Hashable
from functools import partial
from itertools import chain
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn

from alignment.precision import rounding
from training.climb import Climb
from training.graphs import Graph, waits
from training.left_out import has_hooks
from training.passes import CountPasses, Wrapper

Chunk = Callable[[Climb], Tensor]
"""Some steps, in place; returns the logits of the first."""

MOST = 16
"""Recordings of one classifier."""

TOLERANCE = 1e-2
"""Of 1 plus the largest logit, how far a replay's may be from a plain call's: rounding in TF32 or bfloat16."""


class Recording:
    """Some steps, recorded for batches of one shape.

    Args:
        chunk: the steps.
        like: what they work on; copied.
        beside: another recording of the same classifier, with which it shares memory.

    Attributes:
        climb: what a replay works on.
    """

    def __init__(self, chunk: Chunk, like: Climb, beside: "Recording | None" = None) -> None:
        self.climb = like.mapped(torch.clone)
        self.outputs: list[Tensor] = []
        self.graph: Graph = Graph([partial(self._take, chunk)], beside=None if beside is None else beside.graph)

    @property
    def logits(self) -> Float[Tensor, "B C"]:
        """Of the first step of the last replay."""
        return self.outputs[0]

    def _take(self, chunk: Chunk) -> None:
        self.outputs[:] = [chunk(self.climb)]

    def replay(self) -> None:
        """Take the steps."""
        self.graph.replay()


class Recordings:
    """The recordings of one classifier, and why there will be none where that is so."""

    def __init__(self) -> None:
        self.kept: dict[Hashable, Recording] = {}
        self.tried: set[Hashable] = set()
        self.reason: str | None = None

    def find(self, key: Hashable, chunk: Chunk, climb: Climb) -> Recording | None:
        """The recording of some steps, made now if they have been taken once; None to take them plainly."""
        if self.reason is not None:
            return None
        if key not in self.kept and key in self.tried and len(self.kept) < MOST:
            try:
                self.kept[key] = Recording(chunk, climb, next(iter(self.kept.values()), None))
            except RuntimeError as error:
                self.give_up(str(error).partition("\n")[0])
        return self.kept.get(key)

    def taken_plainly(self, key: Hashable, chunk: Chunk, climb: Climb) -> None:
        """Take the steps, and see whether something in them waits for the device."""
        if self.reason is not None or key in self.tried:
            chunk(climb)
            return
        with waits() as found:
            chunk(climb)
        self.tried.add(key)
        if found:
            self.give_up(f"it waits for the device at {found[0]}")

    def give_up(self, reason: str) -> None:
        """Take steps plainly from now on, and say so once."""
        self.reason = reason
        self.kept.clear()
        warnings.warn(f"the steps of an attack are not recorded as a CUDA graph: {reason}", stacklevel=2)


_recordings: "WeakKeyDictionary[nn.Module, Recordings]" = WeakKeyDictionary()


def recordings_of(classifier: nn.Module) -> Recordings | None:
    """The recordings of a classifier, whoever counts its passes; None if it has hooks, which no replay would call."""
    if has_hooks(classifier):
        return None
    *_, inner = _layers(classifier)
    return _recordings.setdefault(inner, Recordings())


def counters_of(classifier: nn.Module) -> list[CountPasses]:
    """Those who count the passes of a classifier, to whom a replay must be told."""
    return [part for part in classifier.modules() if isinstance(part, CountPasses)]


def state_of(classifier: nn.Module) -> Hashable:
    """What a recording depends on that a classifier may exchange: where its tensors lie, wrappers, the precision."""
    tensors = chain(classifier.parameters(), classifier.buffers())
    autocast = torch.is_autocast_enabled("cuda") and torch.get_autocast_dtype("cuda")
    *wrappers, _ = _layers(classifier)
    kinds = tuple(type(wrapper) for wrapper in wrappers if not isinstance(wrapper, CountPasses))
    return tuple((t.data_ptr(), t.requires_grad) for t in tensors), kinds, autocast, rounding()


def _layers(classifier: nn.Module) -> list[nn.Module]:
    """A classifier and what it wraps, down to one that is no wrapper."""
    found = [classifier]
    while isinstance(found[-1], Wrapper):
        found.append(found[-1].classifier)
    return found


def differs(recorded: Tensor, plain: Tensor) -> Tensor:
    """Whether logits of a replay are not those of a plain call."""
    return ~((recorded - plain).abs() <= TOLERANCE * (1 + plain.abs().amax())).all()

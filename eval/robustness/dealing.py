"""Pieces of work that processes deal out among themselves: the k-th goes to process k modulo their number."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar, cast

from torch import Tensor, nn

from eval.robustness.together import processes, rank, shared
from training.passes import CountPasses

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def dealt(pieces: Sequence[Piece], work: Callable[[Piece], Result], classifier: nn.Module) -> Iterator[Result]:
    """What is found of each piece, in their order, on all processes alike.

    Without `eval.robustness.together` this process does them one after the other.

    Args:
        pieces: of which each process reads its own alone.
        work: what it returns is sent to all processes, so that its tensors should be on the CPU.
        classifier: whose passes are counted; those of other processes are added.

    Raises:
        Exception: what the work raises on any process.
    """
    if processes() == 1:
        yield from map(work, pieces)
        return
    for start in range(0, len(pieces), processes()):
        own = pieces[start + rank()] if start + rank() < len(pieces) else None
        found = shared(partial(_counted, work, own, classifier))
        for number, (_, passes) in enumerate(found):
            if number != rank():
                _add(passes, classifier)
        yield from (cast("Result", result) for result, _ in found[: len(pieces) - start])


def to_send(tensor: Tensor) -> Tensor:
    """A tensor as other processes can read it, if there are any."""
    return tensor if processes() == 1 else tensor.cpu()


def counters(classifier: nn.Module) -> list[CountPasses]:
    """All that count a classifier's passes, one around the other."""
    return [part for part in classifier.modules() if isinstance(part, CountPasses)]


Passes = list[tuple[int, int]]
"""Forward and backward, in samples, of each counter."""


def _counted(
    work: Callable[[Piece], Result], piece: Piece | None, classifier: nn.Module
) -> tuple[Result | None, Passes]:
    """What is found of a piece, if there is one, with the passes that it took."""
    before = _passes(classifier)
    result = None if piece is None else work(piece)
    return result, [(f - g, b - c) for (f, b), (g, c) in zip(_passes(classifier), before, strict=True)]


def _passes(classifier: nn.Module) -> Passes:
    return [(one.forward_passes, one.backward_passes) for one in counters(classifier)]


def _add(passes: Passes, classifier: nn.Module) -> None:
    """Count what another process did."""
    for counter, (forward, backward) in zip(counters(classifier), passes, strict=True):
        counter.add(forward, backward)

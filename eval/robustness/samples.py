"""The samples that are attacked, and the classifier's output for them as they are."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_bounds, check_finite, check_labels, check_same_shape
from alignment.double import exactly
from alignment.gradients import evaluating, logits_of
from alignment.precision import exact
from eval.robustness.batching import PROBE, Batching, free_bytes
from eval.robustness.dealing import dealt, to_send
from training.attacks import ORDER, Distance, check_inputs
from training.balls import largest_distance


@runtime_checkable
class ReadAgain(Protocol):
    """Batches whose inputs are read whenever they are needed, so that none is held, as `eval.records` has them."""

    def inputs(self, places: Int[Tensor, " K"]) -> Float[Tensor, "K *shape"]:
        """The inputs of some samples, by their place among all."""
        ...

    def marks(self) -> tuple[Int[Tensor, " N"], Int[Tensor, " N"]]:
        """Each sample's index, and its true class."""
        ...


@dataclass(frozen=True)
class Held:
    """Inputs that are held, where the classifier is if they fit beside it.

    Attributes:
        x: inputs, `(N, *shape)`.
    """

    x: Float[Tensor, "N *shape"]

    def inputs(self, places: Int[Tensor, " K"]) -> Float[Tensor, "K *shape"]:
        """The inputs of some samples, by their place among all."""
        return self.x[places.to(self.x.device)]


@dataclass(frozen=True)
class Samples:
    """Inputs with their true classes and clean logits.

    Attributes:
        source: of the inputs.
        y: true classes, `(N,)`, on the device of the classifier.
        logits: of the inputs, `(N, C)`, the same.
    """

    source: Held | ReadAgain
    y: Int[Tensor, " N"]
    logits: Float[Tensor, "N C"]

    def __len__(self) -> int:
        return len(self.y)

    @property
    def first(self) -> Float[Tensor, "1 *shape"]:
        """The first input, for its shape and dtype."""
        return self.source.inputs(torch.arange(1))

    def all(self) -> Float[Tensor, "N *shape"]:
        """All inputs, where they are."""
        return self.source.x if isinstance(self.source, Held) else self.source.inputs(torch.arange(len(self)))


def pairs(batches: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Inputs and true classes of batches that may hold more.

    Raises:
        ValueError: if there are no batches, or one is no sequence of at least two parts; naming what was found.
    """
    if not isinstance(batches, Iterable):
        raise ValueError(f"`batches` should be batches of (x, y). Found {type(batches).__name__}.")
    for batch in batches:
        # A tensor is no batch: its first two rows would pass for inputs and classes.
        if not isinstance(batch, Sequence) or len(batch) < 2:
            parts = f" of {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else ""
            raise ValueError(f"`batches` should hold (x, y, ...). Found {type(batch).__name__}{parts}.")
        yield batch[0], batch[1]


CHECKED = 8192
"""Inputs that are looked at together where no classifier is asked."""

ROOM = 0.25
"""Of the free memory of a GPU, the part that samples may take that are kept there."""


def gathered(
    classifier: nn.Module,
    batches: Iterable[Any],
    bounds: tuple[float, float],
    batching: Batching,
    device: torch.device | None,
) -> Samples:
    """The samples of all batches, with a batch size that goes with them.

    Args:
        classifier: that they are shown to.
        batches: of inputs and true classes; `ReadAgain` where inputs are not to be held.
        bounds: lowest and highest legal value of an input.
        batching: whose size is made to fit.
        device: where the classifier is; None for where the first inputs are.

    Raises:
        ValueError: if there is no sample, inputs are no floating-point tensors of one shape, NaN or outside the
            bounds, labels are not one integer in [0, C) per sample, or the classifier's logits are not finite.
    """
    if isinstance(batches, ReadAgain):
        return _read(classifier, batches, bounds, batching, device or torch.device("cpu"))
    shown = list(pairs(batches))
    device = device or next((x.device for x, _ in shown if isinstance(x, Tensor)), torch.device("cpu"))
    check_bounds(bounds)
    for x, _ in shown:
        check_inputs(x, bounds)
        check_same_shape(x[:0], shown[0][0][:0], "x", "x of the first batch")
    _check_some(sum(len(x) for x, _ in shown))
    x = torch.cat([x.detach() for x, _ in shown])
    batching.fit(x[:PROBE], device, len(x))
    source = Held(x.to(device) if _fits(x, device) else x)
    logits = clean_logits(classifier, source.inputs, len(x), batching, device)
    check_finite(logits, "classifier(x)")
    for part, y in shown:
        check_labels(y, len(part), logits.shape[1])
    return Samples(source, torch.cat([y for _, y in shown]).to(device), logits)


def _read(
    classifier: nn.Module,
    batches: ReadAgain,
    bounds: tuple[float, float],
    batching: Batching,
    device: torch.device,
) -> Samples:
    """The same of inputs that are checked as they are read, and read again for each attack."""

    def checked(places: Tensor) -> Tensor:
        x = batches.inputs(places)
        check_inputs(x, bounds)
        return x.detach()

    check_bounds(bounds)
    y = batches.marks()[1]
    _check_some(len(y))
    if device.type == "cuda":
        batching.fit(checked(torch.arange(min(PROBE, len(y)))), device, len(y))
    logits = clean_logits(classifier, checked, len(y), batching, device)
    check_finite(logits, "classifier(x)")
    check_labels(y, len(y), logits.shape[1])
    return Samples(batches, y.to(device), logits)


def _check_some(count: int) -> None:
    if not count:
        raise ValueError("`batches` should hold at least one sample. Found none.")


def _fits(x: Float[Tensor, "N *shape"], device: torch.device) -> bool:
    """Whether inputs may be kept where the classifier is."""
    return device.type != "cuda" or x.nbytes <= ROOM * free_bytes(device)


@exact()
def clean_logits(
    classifier: nn.Module,
    inputs: Callable[[Int[Tensor, " K"]], Float[Tensor, "K *shape"]],
    count: int,
    batching: Batching,
    device: torch.device,
) -> Float[Tensor, "N C"]:
    """Logits of so many inputs in evaluation mode and true float32, `(N, C)` on the device."""

    def of(places: Tensor) -> Tensor:
        return logits_of(classifier, inputs(places).to(device))

    with evaluating(classifier), torch.no_grad():
        parts = torch.arange(count).split(batching.size)
        found = dealt(parts, lambda part: to_send(torch.cat(batching.over(part, of))), classifier)
        return _joined(parts, found, count).to(device)


def _joined(parts: Sequence[Tensor], found: Iterator[Tensor], count: int) -> Float[Tensor, "N C"]:
    """The logits of all parts.

    Each is copied at once: kept until the end, they would lie between the freed inputs, whose memory is then in too
    small pieces for the next ones, so that a CPU would hold nearly as much as all inputs take.
    """
    first = next(found)
    logits = first.new_empty(count, first.shape[1])
    for part, of_part in zip(parts, chain([first], found), strict=True):
        logits[part] = of_part
    return logits


def largest_strength(samples: Samples, norm: Distance, bounds: tuple[float, float]) -> float:
    """The diameter of the legal range, or, where there is none, the largest norm of an input."""
    width = bounds[1] - bounds[0]
    if math.isfinite(width) or norm == "L0":
        return largest_distance(width, samples.first[0].numel(), norm)
    parts = torch.arange(len(samples)).split(CHECKED)
    return max(float(_norms(samples.source.inputs(part), norm).max()) for part in parts)


def _norms(x: Float[Tensor, "B *shape"], norm: Distance) -> Float[Tensor, " B"]:
    return torch.linalg.vector_norm(exactly(x).flatten(1), ord=ORDER[norm], dim=1)

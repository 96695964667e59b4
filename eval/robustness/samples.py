"""The samples that are attacked, and the classifier's output for them as they are."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_bounds, check_finite, check_labels, check_same_shape
from alignment.double import exactly
from alignment.gradients import evaluating, logits_of
from alignment.precision import exact
from eval.robustness.batching import Batching, free_bytes
from training.attacks import ORDER, Norm, check_inputs


@dataclass(frozen=True)
class Samples:
    """Inputs with their true classes and clean logits.

    Attributes:
        x: inputs, `(N, *shape)`, on the device of the classifier where they fit beside it, else where they came from.
        y: true classes, `(N,)`, on the device of the classifier.
        logits: of the inputs, `(N, C)`, the same.
    """

    x: Float[Tensor, "N *shape"]
    y: Int[Tensor, " N"]
    logits: Float[Tensor, "N C"]

    def __len__(self) -> int:
        return len(self.y)


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


ROOM = 0.25
"""Of the free memory of a GPU, the part that samples may take that are kept there."""


def gathered(
    classifier: nn.Module,
    shown: Sequence[tuple[Tensor, Tensor]],
    bounds: tuple[float, float],
    batching: Batching,
    device: torch.device,
) -> Samples:
    """The samples of all pairs of inputs and true classes, with a batch size that goes with them.

    Raises:
        ValueError: if there is no sample, inputs are no floating-point tensors of one shape, NaN or outside the
            bounds, labels are not one integer in [0, C) per sample, or the classifier's logits are not finite.
    """
    check_bounds(bounds)
    for x, _ in shown:
        check_inputs(x, bounds)
        check_same_shape(x[:0], shown[0][0][:0], "x", "x of the first batch")
    if not any(len(x) for x, _ in shown):
        raise ValueError("`batches` should hold at least one sample. Found none.")
    x = torch.cat([x.detach() for x, _ in shown])
    batching.fit(x, device)
    if _fits(x, device):
        x = x.to(device)
    logits = clean_logits(classifier, x, batching, device)
    check_finite(logits, "classifier(x)")
    for part, y in shown:
        check_labels(y, len(part), logits.shape[1])
    return Samples(x, torch.cat([y for _, y in shown]).to(device), logits)


def _fits(x: Float[Tensor, "N *shape"], device: torch.device) -> bool:
    """Whether inputs may be kept where the classifier is."""
    return device.type != "cuda" or x.nbytes <= ROOM * free_bytes(device)


@exact()
def clean_logits(
    classifier: nn.Module, x: Float[Tensor, "N *shape"], batching: Batching, device: torch.device
) -> Float[Tensor, "N C"]:
    """Logits of inputs in evaluation mode and true float32, `(N, C)` on the device."""
    with evaluating(classifier), torch.no_grad():
        # A copy, since a classifier may normalise its input in place.
        rows = torch.arange(len(x), device=x.device)
        return torch.cat(batching.over(rows, lambda part: logits_of(classifier, x[part].to(device))))


def largest_strength(x: Float[Tensor, "B *shape"], norm: Norm, bounds: tuple[float, float]) -> float:
    """The diameter of the legal range, or, where there is none, the largest norm of an input."""
    width = bounds[1] - bounds[0]
    if math.isfinite(width):
        return width * x[0].numel() ** (1 / ORDER[norm])
    flat = exactly(x).flatten(1)
    return float(torch.linalg.vector_norm(flat, ord=ORDER[norm], dim=1).max())

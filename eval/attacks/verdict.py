"""No attack is believed: what it returns is checked for misclassification, for its norm and for the bounds."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from alignment import evaluating, logits_of
from alignment.double import exactly
from alignment.precision import exact
from training.attacks import ORDER, Distance, column

TOLERANCE = 1e-6


class Verdict(NamedTuple):
    """What became of each sample: fooled within the rules, the size of its perturbation, and broken rules."""

    fooled: Bool[Tensor, " B"]
    distance: Float[Tensor, " B"]
    rejected: Bool[Tensor, " B"]


def predictions(classifier: nn.Module, x: Float[Tensor, "B *shape"]) -> Int[Tensor, " B"]:
    """m(x), the predicted classes, in evaluation mode and true float32.

    Raises:
        ValueError: if a logit is NaN.
    """
    predicted, unknown = _predictions(classifier, x)
    _check_known(int(unknown.sum()))
    return predicted


@exact()
def _predictions(classifier: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """The predicted classes, and how many logits of each sample are NaN."""
    if not len(x):
        return (torch.zeros(0, dtype=torch.int64, device=x.device),) * 2
    with evaluating(classifier), torch.no_grad():
        logits = logits_of(classifier, x)
    return logits.argmax(dim=1), logits.isnan().sum(dim=1)


def _check_known(unknown: int) -> None:
    if unknown:
        raise ValueError(f"`classifier(x)` should not hold NaN. Found {unknown}.")


def distance(a: Float[Tensor, "B *shape"], b: Float[Tensor, "B *shape"], norm: Distance) -> Float[Tensor, " B"]:
    """‖a − b‖ per sample, in float64, see `alignment.double`; in L0 the number of coordinates that differ."""
    difference = (exactly(a) - exactly(b)).flatten(1)
    return torch.linalg.vector_norm(difference, ord=ORDER[norm], dim=1)


def verdict(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    adversarial: Any,
    strength: Float[Tensor, " B"],
    *,
    norm: Distance | None,
    bounds: tuple[float, float],
) -> Verdict:
    """Judge what an attack returned, as the classifier sees it: in the precision and on the device of the inputs.

    What leaves the ball of radius `strength` by more than one part in a million, or leaves the bounds, or is not
    finite, does not count as fooled, and is rejected. The classifier computes in true float32, whatever the attack
    did, see `alignment.precision.exact`.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        x: the clean inputs, `(B, *shape)`; a copy that the attack never had in its hands.
        y: true classes, `(B,)`; the same.
        adversarial: what the attack returned; should be a floating-point tensor of the shape of x.
        strength: radius of the ball, `(B,)`; infinite where any distance is allowed.
        norm: of the ball; None where there is no ball and strength stands for the size.
        bounds: lowest and highest legal value of an input.

    Returns:
        The verdict, on the CPU, to which it comes at once: a GPU is waited for once.

    Raises:
        ValueError: if the attack returned no floating-point tensor of the shape of x, or a logit is NaN.
    """
    adversarial = _as_seen(adversarial, x)
    size = exactly(strength) if norm is None else distance(adversarial, x, norm)
    flat = adversarial.flatten(1)
    legal = (flat >= bounds[0]).all(dim=1) & (flat <= bounds[1]).all(dim=1) & flat.isfinite().all(dim=1)
    legal &= (size <= exactly(strength) * (1 + TOLERANCE)).to(legal.device)
    # What is illegal is never shown to the classifier, whose logits might be NaN.
    predicted, unknown = _predictions(classifier, torch.where(column(legal, x), adversarial, x))
    rows = (predicted != y) & legal, size, ~legal, unknown
    found = torch.stack([exactly(row) for row in rows]).cpu()
    _check_known(int(found[3].sum()))
    return Verdict(found[0].bool(), found[1], found[2].bool())


def _as_seen(adversarial: Any, x: Tensor) -> Tensor:
    """What an attack returned, as an input of the classifier."""
    if not isinstance(adversarial, Tensor):
        raise ValueError(f"The attack should return a tensor. Found {type(adversarial).__name__}.")
    if not adversarial.is_floating_point():
        raise ValueError(f"The attack should return floating-point numbers. Found {adversarial.dtype}.")
    if adversarial.shape != x.shape:
        raise ValueError(f"The attack should return shape {tuple(x.shape)}. Found {tuple(adversarial.shape)}.")
    return adversarial.detach().to(x)

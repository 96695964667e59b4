"""No attack is believed: its answer is checked for misclassification, for its norm and for the bounds."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from alignment import evaluating, logits_of
from training.attacks import ORDER, Norm, column

TOLERANCE = 1e-6


class Verdict(NamedTuple):
    """What became of each sample: fooled within the rules, the size of its perturbation, and broken rules."""

    fooled: Bool[Tensor, " B"]
    distance: Float[Tensor, " B"]
    rejected: Bool[Tensor, " B"]


def predictions(classifier: nn.Module, x: Float[Tensor, "B *shape"]) -> Int[Tensor, " B"]:
    """m(x), the predicted classes, in evaluation mode.

    Raises:
        ValueError: if a logit is NaN.
    """
    with evaluating(classifier), torch.no_grad():
        logits = logits_of(classifier, x)
    if logits.isnan().any():
        raise ValueError(f"`classifier(x)` should not hold NaN. Found {int(logits.isnan().sum())}.")
    return logits.argmax(dim=1)


def distance(a: Float[Tensor, "B *shape"], b: Float[Tensor, "B *shape"], norm: Norm) -> Float[Tensor, " B"]:
    """‖a − b‖ per sample, computed in float64."""
    difference = (a.double() - b.double()).flatten(1)
    return torch.linalg.vector_norm(difference, ord=ORDER[norm], dim=1)


def verdict(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    adversarial: Float[Tensor, "B *shape"],
    strength: Float[Tensor, " B"],
    *,
    norm: Norm | None,
    bounds: tuple[float, float],
) -> Verdict:
    """Judge the answer of an attack.

    An answer that leaves the ball of radius `strength` by more than one part in a million, or leaves the
    bounds, or is not finite, does not count as fooled, and is rejected.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        x: the clean inputs, `(B, *shape)`.
        y: true classes, `(B,)`.
        adversarial: the attack's answer, of the shape of x.
        strength: radius of the ball, `(B,)`; infinite where any distance is allowed.
        norm: of the ball; None where there is no ball and strength stands for the size.
        bounds: lowest and highest legal value of an input.
    """
    if adversarial.shape != x.shape:
        raise ValueError(f"The attack should answer shape {tuple(x.shape)}. Found {tuple(adversarial.shape)}.")
    size = strength.double() if norm is None else distance(adversarial, x, norm)
    flat = adversarial.flatten(1)
    legal = (flat >= bounds[0]).all(dim=1) & (flat <= bounds[1]).all(dim=1) & flat.isfinite().all(dim=1)
    legal &= size <= strength.double() * (1 + TOLERANCE)
    # What is illegal is never shown to the classifier, which might answer NaN.
    wrong = predictions(classifier, torch.where(column(legal, x), adversarial, x)) != y
    return Verdict(wrong & legal, size, ~legal)

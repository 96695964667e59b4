"""The radius a sample would have if the classifier were linear: one gradient, and a good first guess."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.gradients import as_variable, differentiable, evaluating, logits_of
from training.attacks import DUAL, Norm, attack_loss


def first_order_radii(
    classifier: nn.Module, x: Float[Tensor, "B *shape"], y: Int[Tensor, " B"], norm: Norm
) -> Float[Tensor, " B"]:
    """Margin / ‖∇margin‖_dual towards the strongest wrong class: the radius if the classifier were linear.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        x: inputs, `(B, *shape)`.
        y: true classes, `(B,)`.
        norm: in which the radius is measured; the gradient is measured in its dual.

    Returns:
        Radii, `(B,)`; infinite or NaN where the gradient is zero or not there, NaN where it is.
    """
    with evaluating(classifier), differentiable():
        variable = as_variable(x)
        margin = -attack_loss(logits_of(classifier, variable), y, "margin")
        slope = gradient_if_any(margin, variable)
    if slope is None:  # nothing can be said, and a black-box attack does not need it
        return torch.full_like(margin, torch.inf)
    return margin.detach() / torch.linalg.vector_norm(slope.flatten(1), ord=DUAL[norm], dim=1)


def gradient_if_any(scores: Float[Tensor, " B"], x: Float[Tensor, "B *shape"]) -> Float[Tensor, "B *shape"] | None:
    """Gradient of each sample's score with respect to its input, finite or not; None where there is no graph."""
    if not scores.requires_grad:
        return None
    return torch.autograd.grad(scores.sum(), x, allow_unused=True)[0]


def has_gradient(classifier: nn.Module, x: Float[Tensor, "B *shape"]) -> bool:
    """Whether the logits have a graph to the input, with a gradient that is finite somewhere."""
    with evaluating(classifier), differentiable():
        variable = as_variable(x)
        gradient = gradient_if_any(logits_of(classifier, variable).sum(dim=1), variable)
    return gradient is not None and bool(gradient.isfinite().any())

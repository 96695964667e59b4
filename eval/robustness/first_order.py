"""Gradients of scores with respect to inputs, where there are any."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from alignment.gradients import as_variable, differentiable, evaluating, logits_of


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

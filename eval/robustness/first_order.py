"""The radius a sample would have if the classifier were linear: one gradient, and a good first guess."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.gradients import as_variable, differentiable, evaluating, gradient_of, logits_of
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
        Radii, `(B,)`; infinite or NaN where the gradient is zero.
    """
    with evaluating(classifier), differentiable():
        variable = as_variable(x)
        margin = -attack_loss(logits_of(classifier, variable), y, "margin")
        try:
            slope = gradient_of(margin, variable).flatten(1)
        except ValueError:  # not differentiable: nothing can be said, and a black-box attack does not need it
            return torch.full_like(margin, torch.inf)
    return margin.detach() / torch.linalg.vector_norm(slope, ord=DUAL[norm], dim=1)

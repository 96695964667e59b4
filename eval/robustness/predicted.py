"""Radii as a few gradients predict them: a steepest descent of the margin, followed as far as the boundary."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.gradients import as_variable, differentiable, evaluating, logits_of
from eval.robustness.first_order import gradient_if_any
from training.attacks import DUAL, Norm, attack_loss
from training.balls import BALLS, unit


def predicted_radii(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    norm: Norm,
    bounds: tuple[float, float],
    *,
    gradients: int = 3,
) -> Float[Tensor, " B"]:
    """Distance at which the margin is gone, along the sum of the first few gradients of a descent.

    The first gradient gives margin / ‖∇margin‖_dual, exact for linear classifiers. At the point of the ball of that
    radius that lies furthest along the gradients so far, the margin that is left corrects the radius (a secant) and
    the gradient there corrects the direction. Three gradients predict radii under PGD of small CNNs to 1 to 4 per
    cent, but for a factor that all share; one is off by 15 to 20. Only the cost of a search depends on it.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        x: inputs, `(B, *shape)`.
        y: true classes, `(B,)`.
        norm: in which the radius is measured.
        bounds: lowest and highest legal value of an input.
        gradients: how many; each is a forward and a backward pass, and one forward pass follows.

    Returns:
        Radii, `(B,)`; not finite or not above 0 where nothing can be predicted.
    """
    start, slope = _margin(classifier, x, y)
    if slope is None:  # nothing can be said, and a black-box attack does not need it
        return torch.full_like(start, torch.inf)
    radius = start / torch.linalg.vector_norm(slope.flatten(1), ord=DUAL[norm], dim=1)
    direction = -unit(slope, DUAL[norm])
    for remaining in reversed(range(gradients)):
        # Where the radius is no number, the point is x, and the radius stays what it is.
        reach = torch.where(radius.isfinite(), radius, 0).clamp(min=0)
        point = BALLS[norm](x, reach, bounds).step(x, direction, reach)
        left, slope = _margin(classifier, point, y, slope=remaining > 0)
        radius = radius * crossing(start, left)
        if slope is not None:
            direction = direction - unit(slope, DUAL[norm])
    return radius


def crossing(start: Float[Tensor, " B"], left: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """How many times as far the margin is gone as where `left` is left of it, a secant; in [½, 2], 1 for NaN."""
    return (start / (start - left).clamp(min=start / 2)).clamp(0.5, 2).nan_to_num(1.0)


def _margin(
    classifier: nn.Module, x: Float[Tensor, "B *shape"], y: Int[Tensor, " B"], slope: bool = True
) -> tuple[Float[Tensor, " B"], Float[Tensor, "B *shape"] | None]:
    """True logit minus the largest wrong one, and its gradient if that is wanted and there is one."""
    with evaluating(classifier), differentiable(), torch.set_grad_enabled(slope):
        variable = as_variable(x)
        margin = -attack_loss(logits_of(classifier, variable), y, "margin")
        return margin.detach(), gradient_if_any(margin, variable)

"""A penalty on the size of the Jacobian of the logits (Hoffman, Roberts and Yaida 2019)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from alignment.contracts import check_classifier, check_floating
from alignment.gradients import gradient_of
from alignment.second_order import check_second_derivative
from alignment.slopes import of_nothing, variable_and_logits


def jacobian_penalty(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    projections: Float[Tensor, "B N C"] | None = None,
    *,
    logits: Float[Tensor, "B C"] | None = None,
) -> Float[Tensor, ""]:
    """½ mean ‖J‖_F² of the Jacobian J_{c,i} = ∂logit(x)_c / ∂x_i, with a graph to the weights.

    https://arxiv.org/abs/1908.02729, Algorithm 1. ‖J‖_F² = C · E ‖v·J‖² for v uniform on the unit sphere,
    which is estimated from N of them as (C / N) Σ ‖v·J‖²; each costs one backward pass. With the C unit vectors, or
    any orthonormal basis, it is exact. J is taken in the mode that the classifier is in. Under batch normalisation in
    training mode, where x moves the logits of the whole batch, row c of J is the gradient of their sum, and J is no
    Jacobian of a sample: the exact form then leaves out what centring cancels, and an estimate is of another number.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        x: inputs, `(B, *shape)`.
        projections: unit vectors v of each sample, `(B, N, C)`, such as `random_projections` draws; None for the C
            unit vectors.
        logits: of `x`, where they are already known; `x` must then ask for a gradient.

    Returns:
        A number of at least 0 with a graph, in squared logits per squared unit of the input; 0 without samples, which
        the classifier is not shown.

    Raises:
        ValueError: if x is no floating-point tensor, `logits` is given and `x` does not ask for a gradient,
            projections have another shape, or the classifier has no second derivatives.
    """
    check_floating(x, "x")
    check_classifier(classifier)
    if not len(x):
        return of_nothing(x, logits)
    x, logits = variable_and_logits(classifier, x, logits)
    size, classes = logits.shape
    if projections is None:
        projections = torch.eye(classes, dtype=logits.dtype, device=logits.device).expand(size, -1, -1)
    _check_projections(projections, size, classes)
    squares = x.new_zeros(size, dtype=logits.dtype)
    for along in projections.to(logits).unbind(1):
        slope = gradient_of(logits, x, along=along, create_graph=True)
        check_second_derivative(slope)
        squares = squares + slope.flatten(1).to(logits.dtype).square().sum(dim=1)
    return 0.5 * classes / projections.shape[1] * squares.mean()


def random_projections(normal: Float[Tensor, "B N C"]) -> Float[Tensor, "B N C"]:
    """Directions that are uniform on the unit sphere, from numbers that are standard normal."""
    length = torch.linalg.vector_norm(normal, dim=2, keepdim=True)
    return normal / length.clamp(min=torch.finfo(normal.dtype).tiny)


def _check_projections(projections: Any, size: int, classes: int) -> None:
    check_floating(projections, "projections")
    if projections.ndim != 3 or not projections.shape[1] or projections.shape[::2] != (size, classes):
        raise ValueError(
            f"`projections` should have shape ({size}, N, {classes}) with N ≥ 1. Found {tuple(projections.shape)}."
        )

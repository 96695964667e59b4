"""Residuals as the alignment takes them: a tensor, or an estimator that makes one."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.contracts import check_floating, check_same_shape

Residual = Callable[[Tensor, Tensor, Tensor], Tensor]
"""A residual estimator: `(x, y, target) → Δ̂x`, of the shape of x."""


def residuals_of(
    residual: Residual | Tensor, x: Float[Tensor, "B *shape"], y: Int[Tensor, " B"], target: Int[Tensor, " B"]
) -> Float[Tensor, "B *shape"]:
    """Δ̂x from each input to its target class, without a graph.

    Raises:
        ValueError: if it is no floating-point tensor or of another shape than x.
    """
    if not isinstance(residual, Tensor):
        with torch.no_grad():
            residual = residual(x.detach(), y, target)
    check_floating(residual, "residual")
    check_same_shape(residual, x, "residual", "x")
    return residual.detach()


def check_residual(residual: Any) -> None:
    """Refuse what is neither residuals nor an estimator.

    Raises:
        ValueError: naming what was found.
    """
    if not isinstance(residual, Tensor) and not callable(residual):
        raise ValueError(
            "`residual` should be an estimator (x, y, target) → Δ̂x, or a tensor of the shape of `x`. "
            f"Found {type(residual).__name__}."
        )

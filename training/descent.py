"""The descent that paper 2 promises of a step of AGR, in numbers that a measured step can be held against.

Theorem 4.1 promises it (its Theorem 4.3 with Eqs. 12 and 13 bounds the generalisation error, and no step): the
combination g opposes neither gradient, ⟨∇L, g⟩ ≥ 0 tensor by tensor for the clean and the adversarial loss. That is a
statement of first order. How far a step may go follows with a Lipschitz constant M of the gradient, by Taylor,

    | L(w) − L(w − η g) − η⟨∇L(w), g⟩ | ≤ M η² ‖g‖² / 2.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from alignment.contracts import check_same_shape
from training.adversarial_objective import not_negative
from training.conflict import conflict


class Descent(NamedTuple):
    """How much a step w → w − η g lowers one loss, as far as its gradient says. All in float64, in units of the loss.

    Attributes:
        per_tensor: η⟨∇L, g⟩ of every parameter tensor, `(T,)`; none is negative where g is AGR's (Theorem 4.1).
        remainder: M η² ‖g‖² / 2, by how much the true descent can differ from their sum.
        largest_rate: η below which the loss falls for certain, 2⟨∇L, g⟩ / (M ‖g‖²); 0 where g opposes ∇L, and
            infinite where M or g is zero and it does not.
    """

    per_tensor: Float64[Tensor, " T"]
    remainder: Float64[Tensor, ""]
    largest_rate: Float64[Tensor, ""]

    @property
    def promised(self) -> Float64[Tensor, ""]:
        """η⟨∇L, g⟩, of first order; above 0 for a descent."""
        return self.per_tensor.sum()

    @property
    def at_least(self) -> Float64[Tensor, ""]:
        """The smallest descent that the bound allows; below 0 where η is too large for it to promise any."""
        return self.promised - self.remainder

    @property
    def at_most(self) -> Float64[Tensor, ""]:
        """The largest descent that the bound allows."""
        return self.promised + self.remainder


def promised_descent(
    gradients: Mapping[str, Sequence[Tensor]],
    followed: Sequence[Tensor],
    *,
    learning_rate: float,
    smoothness: float | Mapping[str, float] = 0.0,
) -> dict[str, Descent]:
    """The descent of each loss that a step of plain gradient descent along a combined gradient promises.

    The true descent to compare it with is L(w) − L(w − η g) on the same batch, adversarial examples included, since
    each loss is meant as a function of the weights alone. With momentum, decay or Adam, pass what the weights really
    moved by as `followed`, with `learning_rate=1`.

    Args:
        gradients: ∇L at w by the name of its loss, as "clean" (g_n) and "adversarial" (g_a), one tensor per
            parameter.
        followed: g, what the combiner made of them; tensors of the same shapes.
        learning_rate: η ≥ 0.
        smoothness: M ≥ 0, a Lipschitz constant of the gradients between w and w − η g, one for all losses or one
            each; see `smoothness_along` for an estimate. 0 claims that the losses are linear.

    Returns:
        By the names of the losses.

    Raises:
        ValueError: if η or M is negative or not finite, M misses a loss, or shapes differ.

    Example:
        >>> clean, followed = [torch.tensor([3.0, 4.0])], [torch.tensor([1.0, 0.0])]
        >>> found = promised_descent({"clean": clean}, followed, learning_rate=0.5, smoothness=2.0)["clean"]
        >>> float(found.promised), float(found.at_least), float(found.largest_rate)
        (1.5, 1.25, 3.0)
    """
    not_negative(learning_rate, "learning_rate")
    return {
        name: _descent(list(gradient), list(followed), learning_rate, _of_loss(smoothness, name))
        for name, gradient in gradients.items()
    }


def smoothness_along(
    before: Sequence[Tensor], after: Sequence[Tensor], moved: Sequence[Tensor]
) -> Float64[Tensor, ""]:
    """‖∇L(w') − ∇L(w)‖ / ‖w' − w‖, the smallest Lipschitz constant that the two ends of a step leave possible.

    Between them the gradient may turn faster, so this is an estimate of M from below. 0 where nothing moved.

    Args:
        before: ∇L(w), one tensor per parameter.
        after: ∇L(w') on the same batch.
        moved: w' − w.

    Raises:
        ValueError: if shapes differ.
    """
    _check_shapes(before, after, "after")
    _check_shapes(before, moved, "moved")
    turned = torch._foreach_sub(list(after), list(before))
    compared = conflict(list(turned), list(moved))
    way = compared.adversarial_norm
    return compared.clean_norm / torch.where(way == 0, torch.inf, way)


def _descent(gradient: list[Tensor], followed: list[Tensor], rate: float, smoothness: float) -> Descent:
    _check_shapes(gradient, followed, "followed")
    measured = conflict(gradient, followed)
    curved = smoothness * measured.adversarial_norm.square()
    slope = measured.inner_products.sum()
    largest = torch.where(curved > 0, 2 * slope / curved, torch.where(slope < 0, 0, torch.inf)).clamp(min=0)
    return Descent(rate * measured.inner_products, rate**2 * curved / 2, largest)


def _of_loss(smoothness: float | Mapping[str, float], name: str) -> float:
    if isinstance(smoothness, Mapping) and name not in smoothness:
        raise ValueError(f"`smoothness` should have a value for the loss {name!r}. Found {', '.join(smoothness)}.")
    return float(not_negative(smoothness[name] if isinstance(smoothness, Mapping) else smoothness, "smoothness"))


def _check_shapes(gradient: Sequence[Tensor], other: Sequence[Tensor], name: str) -> None:
    if len(gradient) != len(other):
        raise ValueError(
            f"`{name}` should have one tensor per parameter, {len(gradient)}, like the gradients. Found {len(other)}."
        )
    for one, two in zip(gradient, other, strict=True):
        check_same_shape(two, one, name, "gradients")

"""Adversarial training from starts that are perpendicular to Δ̂x: paper 1, section 4, future work.

"The use of the direction perpendicular to Δ̂x when sampling examples for adversarial training, avoiding sampling in
the direction of other classes, might have positive results."
"""

from copy import copy
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_floating, check_same_shape
from training.attacks import Loss
from training.balls import BALLS, ORDER, Norm, column, unit
from training.objectives import AT
from training.strength import Strength


class PerpendicularAT(AT):
    """CE(x', y) as in `AT`, where PGD starts at x + s with s perpendicular to Δ̂x, see `perpendicular_start`.

    With no steps x' = x + s: noise that does not point to the closest class.

    Args:
        epsilon: radius of the ball in the data's own units; `8/255` may be written.
        steps: gradient steps of the inner maximisation, κ ≥ 0.
        loss: what the inner maximisation raises, see `training.attacks.pgd`.
        stay: take what points along Δ̂x out of x' − x, too, where PGD has ended; else only the start is perpendicular.
        inner: norm and step_size of `AdversarialObjective`.

    Raises:
        ValueError: as `AdversarialObjective`, or for no random start, APGD or a target.
    """

    takes_residual: ClassVar[bool] = True
    least_steps: ClassVar[int] = 0

    def __init__(
        self, epsilon: Strength, steps: int = 40, loss: Loss = "auto", stay: bool = False, **inner: Any
    ) -> None:
        super().__init__(epsilon, steps, loss, **inner)
        if not self.random_start or self.solver != "pgd" or self.target is not None:
            raise ValueError(
                "`random_start`, `solver` and `target` should be left out of PerpendicularAT, which is PGD from a "
                f"random start. Found {self.random_start}, {self.solver!r} and {self.target!r}."
            )
        self.stay = stay
        self.residual: Tensor | None = None

    def with_residual(self, residual: Float[Tensor, "B *shape"]) -> "PerpendicularAT":
        """The objective for a batch with this Δ̂x."""
        bound = copy(self)
        bound.residual = residual
        return bound

    def start(self, x: Float[Tensor, "B *shape"], generator: torch.Generator) -> Float[Tensor, "B *shape"]:
        """A random point of the ball, perpendicular to Δ̂x seen from x."""
        return x + perpendicular_start(self._residual_for(x), float(self.epsilon), self.norm, generator)

    def perturbed(
        self,
        classifier: nn.Module,
        x: Float[Tensor, "B *shape"],
        y: Int[Tensor, " B"],
        *,
        bounds: tuple[float, float],
        generator: torch.Generator,
    ) -> Float[Tensor, "B *shape"]:
        """Inputs x' that PGD finds from there, `(B, *shape)`, without a graph.

        Raises:
            ValueError: if no residual was given, or one of another shape than x.
        """
        found = super().perturbed(classifier, x, y, bounds=bounds, generator=generator)
        if not self.stay:
            return found
        x, radius = x.detach(), x.new_full((len(x),), float(self.epsilon))
        shift = within(perpendicular(found - x, self._residual_for(x)), radius, self.norm)
        return BALLS[self.norm](x, radius, bounds).projected(x + shift)

    def _residual_for(self, x: Tensor) -> Tensor:
        if self.residual is None:
            raise ValueError(
                "`objective` PerpendicularAT should be given Δ̂x of a batch by `with_residual`, as a Classifier does. "
                "Found none."
            )
        check_same_shape(self.residual, x, "residual", "x")
        return self.residual


def perpendicular_start(
    residual: Float[Tensor, "B *shape"], epsilon: float, norm: Norm, generator: torch.Generator
) -> Float[Tensor, "B *shape"]:
    """Random shifts within ε of 0 in a norm that are perpendicular to Δ̂x, before they are clipped to any bounds.

    Drawn uniformly in the ball, and projected onto what is orthogonal to Δ̂x. In L∞ and L1 that can lead out of the
    ball; they are then shortened, which keeps them orthogonal, in place of being clipped, which would not.

    Args:
        residual: Δ̂x, `(B, *shape)`; where it is zero, the shift is as it was drawn.
        epsilon: radius of the ball, at least 0.
        norm: of the ball.
        generator: from which they are drawn.
    """
    check_floating(residual, "residual")
    radius = residual.new_full((len(residual),), epsilon)
    free = BALLS[norm](torch.zeros_like(residual), radius, (-torch.inf, torch.inf))
    return within(perpendicular(free.random_point(generator), residual), radius, norm)


def perpendicular(shift: Float[Tensor, "B *shape"], residual: Float[Tensor, "B *shape"]) -> Float[Tensor, "B *shape"]:
    """What is left of a shift without its part along Δ̂x, sample by sample."""
    along = unit(residual)
    return shift - column((shift * along).flatten(1).sum(dim=1), shift) * along


def within(shift: Float[Tensor, "B *shape"], radius: Float[Tensor, " B"], norm: Norm) -> Float[Tensor, "B *shape"]:
    """A shift of the same direction, at most as long as the radius."""
    length = torch.linalg.vector_norm(shift.flatten(1), ord=ORDER[norm], dim=1)
    return shift * column((radius / length.clamp(min=torch.finfo(length.dtype).tiny)).clamp(max=1), shift)

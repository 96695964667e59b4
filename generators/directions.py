"""A few numbers per input whose distances never exceed those of the inputs themselves.

With orthonormal directions P, a centre m, and r(x) the length of the part of x − m that P leaves out,

    ‖q − e‖² = ‖P(q − e)‖² + ‖(1 − P)(q − e)‖² ≥ ‖P(q − e)‖² + (r(q) − r(e))²,

by Pythagoras and the triangle inequality. An example whose bound is above the distance of another one cannot be the
nearest, and need not be looked at.
"""

import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from alignment.double import exactly

SLACK = 1e-5
"""Of two inputs' lengths, more than rounding can add to the bound between them.

Sketches are kept in float32, which adds up to 6e-8. What is left out is a root of a difference, to which rounding
in float64 adds up to √(D·1e-16), 4e-6 for inputs of 150,000 numbers.
"""


class Directions:
    """The directions in which some inputs differ most, their principal components, and their centre.

    Args:
        inputs: some of those that will be compared, `(n, D)`; they decide how tight the bounds are, and nothing else.
        count: of the directions, at most. Inputs of no more numbers than that are their own sketches.
    """

    def __init__(self, inputs: Float[Tensor, "n D"], count: int) -> None:
        self.centre = exactly(inputs.cpu()).mean(dim=0)
        self.basis: Tensor | None = None
        if count < inputs.shape[1]:
            self.basis = _principal(inputs.cpu().float() - self.centre.float(), count)

    @property
    def width(self) -> int:
        """Numbers in a sketch, K."""
        return len(self.centre) if self.basis is None else self.basis.shape[1] + 1

    def centred(self, x: Float[Tensor, "B D"]) -> Float64[Tensor, "B D"]:
        """Inputs less the centre, in float64, on the device where that can be."""
        double = exactly(x)
        return double - self.centre.to(double.device)

    def sketch(self, centred: Float64[Tensor, "B D"]) -> Float64[Tensor, "B K"]:
        """Coordinates along the directions, and the length of what they leave out."""
        if self.basis is None:
            return centred
        along = centred @ self.basis.to(centred.device)
        left = centred.square().sum(dim=1) - along.square().sum(dim=1)
        return torch.cat([along, left.clamp(min=0).sqrt().unsqueeze(1)], dim=1)


def lower_bounds(
    queries: Float64[Tensor, "Q K"], examples: Float32[Tensor, "N K"] | Float64[Tensor, "N K"]
) -> Float64[Tensor, "Q N"]:
    """Distances between sketches, less what rounding may have added: none exceeds that between the inputs."""
    block = examples.to(queries)
    lengths = block.square().sum(dim=1)
    own = queries.square().sum(dim=1, keepdim=True)
    squared = torch.addmm(lengths, queries, block.T, alpha=-2).add_(own)
    slack = SLACK * (own.sqrt() + lengths.sqrt())
    return squared.clamp_(min=0).sqrt_().sub_(slack)


def _principal(centred: Float32[Tensor, "n D"], count: int) -> Float64[Tensor, "D K"]:
    """Principal components by way of the inputs' products with each other, which are fewer than their numbers."""
    _, weights = torch.linalg.eigh(exactly(centred @ centred.T))
    # Orthonormal to 1e-15 whatever came before, on which the bounds rest.
    return torch.linalg.qr(exactly(centred.T @ weights[:, -count:].float()))[0]

"""Where the closest classes of a batch are: what penalties compare gradients with, and objectives noise."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.candidates import Candidates
from alignment.closest_class import closest_classes
from alignment.residuals import Residual, residuals_of
from training.data import Batch


class Directions(NamedTuple):
    """Of a batch.

    Attributes:
        targets: its closest classes, closest first, `(B, K)` int64; the first is c̃(x).
        residuals: Δ̂x to each, `(B, K, *shape)`; None where nobody asked.
    """

    targets: Int[Tensor, "B K"]
    residuals: Float[Tensor, "B K *shape"] | None = None

    def closest(self) -> Float[Tensor, "B *shape"]:
        """Δ̂x to c̃(x).

        Raises:
            ValueError: if there are no residuals.
        """
        if self.residuals is None:
            raise ValueError("`residuals` should be there to be asked for. Found None.")
        return self.residuals[:, 0]


class Search(NamedTuple):
    """How the closest classes are found.

    Attributes:
        classes: C.
        closest: how many are looked for; 0 where none are needed.
        candidates: see `alignment.closest_class`.
        signed: see `alignment.closest_class`.
    """

    classes: int
    closest: int
    candidates: Candidates = None
    signed: bool = False

    @property
    def found(self) -> int:
        """How many closest classes are found: all others where fewer than `closest` exist."""
        return min(self.closest, self.classes - 1)

    def targets(self, network: nn.Module, x: Float[Tensor, "B *shape"], y: Int[Tensor, " B"]) -> Int[Tensor, "B K"]:
        """The closest classes; with two classes the other one, for which the network is not asked."""
        if self.classes == 2:
            return 1 - y.unsqueeze(1)
        options = {"candidates": self.candidates, "signed": self.signed}
        return closest_classes(network, x, y, count=self.found, **options)[:, : self.found]  # type: ignore[arg-type]

    def directions(self, network: nn.Module, batch: Batch, residual: Residual | None) -> Directions | None:
        """Where the closest classes of a batch are; None where none are needed.

        Args:
            network: from `(B, *shape)` to logits `(B, C)`.
            batch: of the training.
            residual: estimator for its samples; None where no residuals are needed.
        """
        if not self.closest:
            return None
        targets = self.targets(network, batch.x, batch.y)
        return Directions(targets, None if residual is None else residuals_to(residual, batch.x, batch.y, targets))


def residuals_to(
    residual: Residual, x: Float[Tensor, "B *shape"], y: Int[Tensor, " B"], targets: Int[Tensor, "B K"]
) -> Float[Tensor, "B K *shape"]:
    """Δ̂x from each sample to each of its classes, `(B, K, *shape)`; without samples the estimator is not asked."""
    if not len(x):
        return x.new_zeros(*targets.shape, *x.shape[1:])
    return torch.stack([residuals_of(residual, x, y, target) for target in targets.unbind(1)], dim=1)

"""The inputs that maximise a loss in a ball around others: in closed form where the classifier is linear."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_finite
from alignment.gradients import evaluating, input_gradient, logits_of
from training.attacks import Norm, fgsm, pgd
from training.seeds import generator_for

Found = Literal["closed form", "PGD"]
UNBOUNDED = (-torch.inf, torch.inf)
SAME = 1e-4
"""Relative difference up to which gradients at two places count as equal."""


@dataclass(frozen=True)
class InnerMaximum:
    """Inputs x' of the largest loss with ‖x' − x‖ ≤ δ.

    A linear classifier of two classes has it in closed form (paper 3, Eq. 15): ε* = −y δ sign(w) in L∞, clipped to
    the bounds where there are any, and −y δ w/‖w‖ in L2 where there are none. Both are one step of length δ up the
    margin. In all other cases it is sought by PGD on the cross-entropy.

    Args:
        norm: of the ball.
        steps: of PGD.
        bounds: that x' stays within; infinite for Eq. 15 as it is printed.
        seed: of PGD's random start.
    """

    norm: Norm
    steps: int
    bounds: tuple[float, float]
    seed: int = 0

    def __call__(
        self, classifier: nn.Module, x: Float[Tensor, "N *shape"], y: Int[Tensor, " N"], budget: float
    ) -> tuple[Float[Tensor, "N *shape"], Found]:
        """The inputs x', and how they were found."""
        is_one_step = self.norm == "Linf" or (self.norm == "L2" and self.bounds == UNBOUNDED)
        if is_one_step and is_linear(classifier, x, self.seed):
            return fgsm(classifier, x, y, budget, norm=self.norm, loss="margin", bounds=self.bounds), "closed form"
        drawn = generator_for(self.seed, "attack", device=x.device)
        settings: Any = {"norm": self.norm, "steps": self.steps, "bounds": self.bounds, "loss": "cross_entropy"}
        return pgd(classifier, x, y, budget, generator=drawn, **settings), "PGD"


def is_linear(classifier: nn.Module, x: Float[Tensor, "N *shape"], seed: int = 0) -> bool:
    """Whether a classifier of two classes has the same gradient of its margin wherever it was looked at.

    Looked at are the inputs, at most 64 of them, and places far from them.
    """
    few = x[:64]
    with evaluating(classifier), torch.no_grad():
        if logits_of(classifier, few[:1]).shape[1] != 2:
            return False
    spread = float((few - few.mean()).abs().max()) or 1.0
    away = few + 3 * spread * torch.randn(few.shape, generator=generator_for(seed, "linear")).to(few)
    ones = torch.ones(len(few), dtype=torch.int64, device=few.device)
    found = torch.cat([input_gradient(classifier, place, ones, 1 - ones) for place in (few, away)]).flatten(1)
    check_finite(found, "gradient")
    return bool((found - found[:1]).abs().max() <= SAME * found.abs().max())

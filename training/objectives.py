"""Training objectives: each answers named losses for a batch."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.attacks import Loss, Norm, pgd
from training.strength import Strength

Losses = dict[str, Tensor]


@runtime_checkable
class Objective(Protocol):
    """Answers the named losses of a batch, each a scalar with a graph.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`, in training mode.
        x: inputs, `(B, *shape)`.
        y: true classes, `(B,)`.
        clean_logits: gives `classifier(x)`; the forward pass is made once, however often it is asked for.
        bounds: lowest and highest legal value of an input.
        generator: randomness of this step.
    """

    def __call__(
        self,
        classifier: nn.Module,
        x: Tensor,
        y: Tensor,
        clean_logits: Callable[[], Tensor],
        *,
        bounds: tuple[float, float],
        generator: torch.Generator,
    ) -> Losses:
        """Named losses of a batch."""
        ...


class Plain:
    """Cross-entropy at the clean inputs: recipe B, and Lα together with the alignment penalty."""

    def __call__(
        self,
        classifier: nn.Module,
        x: Tensor,
        y: Tensor,
        clean_logits: Callable[[], Tensor],
        *,
        bounds: tuple[float, float],
        generator: torch.Generator,
    ) -> Losses:
        """`{"clean": CE(x, y)}`."""
        return {"clean": F.cross_entropy(clean_logits(), y)}


class AT:
    """Adversarial training with PGD (Madry et al. 2018; paper 1, Eq. 17): recipe P.

    Args:
        epsilon: radius of the ball in the data's own units; `8/255` may be written.
        norm: of the ball.
        steps: gradient steps of the inner maximisation, κ.
        step_size: η; None for the default of `training.attacks.pgd`.
        loss: what the inner maximisation raises, see `training.attacks.pgd`.
    """

    def __init__(
        self,
        epsilon: Strength,
        norm: Norm = "Linf",
        steps: int = 40,
        step_size: Strength | None = None,
        loss: Loss = "auto",
    ) -> None:
        self.epsilon, self.norm, self.steps = Strength(epsilon), norm, steps
        self.step_size, self.loss = None if step_size is None else Strength(step_size), loss

    def __call__(
        self,
        classifier: nn.Module,
        x: Tensor,
        y: Tensor,
        clean_logits: Callable[[], Tensor],
        *,
        bounds: tuple[float, float],
        generator: torch.Generator,
    ) -> Losses:
        """`{"adversarial": CE(x', y)}` with x' = PGD(x, y)."""
        adversarial = pgd(
            classifier,
            x.detach(),
            y,
            float(self.epsilon),
            norm=self.norm,
            steps=self.steps,
            step_size=None if self.step_size is None else float(self.step_size),
            loss=self.loss,
            bounds=bounds,
            generator=generator,
        )
        return {"adversarial": F.cross_entropy(classifier(adversarial), y)}

"""Objectives at inputs that PGD finds: what they share, whatever their loss."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_choice, check_counts, check_number
from alignment.gradients import logits_of
from training.attacks import Loss, Norm, pgd
from training.objective import Losses
from training.strength import Strength


class Step(NamedTuple):
    """What the loss of one training step is computed from.

    Attributes:
        classifier: from `(B, *shape)` to logits `(B, C)`, in training mode.
        x: inputs, `(B, *shape)`.
        y: true classes, `(B,)` int64 in [0, C).
        perturbed: what `AdversarialObjective.perturbed` returned, `(B, *shape)`.
        clean_logits: gives `classifier(x)`; not called by a loss that does not need them.
        generator: of what a loss draws itself.
    """

    classifier: nn.Module
    x: Float[Tensor, "B *shape"]
    y: Int[Tensor, " B"]
    perturbed: Float[Tensor, "B *shape"]
    clean_logits: Callable[[], Tensor]
    generator: torch.Generator

    def perturbed_logits(self) -> Float[Tensor, "B C"]:
        """The classifier's logits at x'."""
        return logits_of(self.classifier, self.perturbed)


class AdversarialObjective(ABC):
    """A loss at the inputs x' that PGD finds; a subclass says which.

    The work is in two parts, so that weight perturbation can come between them: `perturbed` finds x',
    `losses` is what trains.

    Args:
        epsilon: radius of the ball in the data's own units; `8/255` may be written.
        norm: of the ball.
        steps: gradient steps of the inner maximisation, κ ≥ 1; papers 2 and 3 take 10.
        step_size: η; None for the default of `training.attacks.pgd`.
        loss: what the inner maximisation raises, see `training.attacks.pgd`.
        random_start: start the inner maximisation uniformly in the ball rather than at x.

    Raises:
        ValueError: if there is no step, η is 0, or norm or loss are unknown.
    """

    names: tuple[str, ...] = ("adversarial",)
    draws: ClassVar[bool] = False
    """Whether its loss draws random numbers, beside those of the inner maximisation."""

    def __init__(
        self,
        epsilon: Strength,
        norm: Norm = "Linf",
        steps: int = 10,
        step_size: Strength | None = None,
        loss: Loss = "cross_entropy",
        random_start: bool = True,
    ) -> None:
        check_counts(1, steps=steps)
        check_choice(norm, get_args(Norm), "norm")
        check_choice(loss, get_args(Loss), "loss")
        self.epsilon, self.norm, self.steps = Strength(epsilon), norm, steps
        self.step_size = None if step_size is None else Strength(step_size)
        if self.step_size == 0:
            raise ValueError(f"`step_size` should be above 0, or None for the default. Found {step_size}.")
        self.loss, self.random_start = loss, random_start

    def perturbed(
        self,
        classifier: nn.Module,
        x: Float[Tensor, "B *shape"],
        y: Int[Tensor, " B"],
        *,
        bounds: tuple[float, float],
        generator: torch.Generator,
    ) -> Float[Tensor, "B *shape"]:
        """Inputs x' = PGD(x, y), `(B, *shape)`, without a graph; the classifier is left as found."""
        return pgd(
            classifier,
            x.detach(),
            y,
            float(self.epsilon),
            norm=self.norm,
            steps=self.steps,
            step_size=None if self.step_size is None else float(self.step_size),
            loss=self.loss,
            bounds=bounds,
            random_start=self.random_start,
            generator=generator,
        )

    @abstractmethod
    def losses(self, step: Step) -> Losses:
        """`{"adversarial": …}`, a scalar with a graph, in at least float32."""

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
        """`{"adversarial": …}` at the inputs that PGD finds."""
        perturbed = self.perturbed(classifier, x, y, bounds=bounds, generator=generator)
        return self.losses(Step(classifier, x, y, perturbed, clean_logits, generator))


def not_negative(value: float, name: str) -> float:
    """The value, refused if it is below 0, infinite or no number."""
    check_number(value, name, "be finite and at least 0", lambda number: 0 <= number < math.inf)
    return value

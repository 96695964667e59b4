"""Objectives at inputs that PGD finds: what they share, whatever their loss."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_choice, check_counts, check_number
from alignment.gradients import logits_of
from training.apgd import NORMS, apgd
from training.attacks import Loss, Norm, pgd, targeted_pgd
from training.objective import Losses
from training.strength import Strength
from training.targets import Target, targets_of

Solver = Literal["pgd", "apgd"]


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
        solver: of the inner maximisation: "pgd", or "apgd", whose steps shorten by themselves; see `training.apgd`.
        target: go to one wrong class, "random" or "least_likely", rather than away from the true one. Paper 3's
            AutoPGD-DLR is `solver="apgd", loss="dlr"`, its T-AutoPGD-DLR that with `target="random"`.

    Raises:
        ValueError: if there is no step, η is 0, or norm, loss, solver or target are unknown or do not go together.
    """

    names: tuple[str, ...] = ("adversarial",)
    draws: ClassVar[bool] = False
    """Whether its loss draws random numbers, beside those of the inner maximisation."""
    least_steps: ClassVar[int] = 1
    """Of the inner maximisation."""

    def __init__(
        self,
        epsilon: Strength,
        norm: Norm = "Linf",
        steps: int = 10,
        step_size: Strength | None = None,
        loss: Loss = "cross_entropy",
        random_start: bool = True,
        solver: Solver = "pgd",
        target: Target | None = None,
    ) -> None:
        check_counts(self.least_steps, steps=steps)
        check_choice(norm, get_args(Norm), "norm")
        check_choice(loss, get_args(Loss), "loss")
        self.epsilon, self.norm, self.steps = Strength(epsilon), norm, steps
        self.step_size = None if step_size is None else Strength(step_size)
        if self.step_size is not None and not self.step_size:
            raise ValueError(f"`step_size` should be above 0, or None for the default. Found {step_size}.")
        self.loss, self.random_start = loss, random_start
        _check_solver(solver, target, norm, loss, step_size)
        self.solver, self.target = solver, target

    def perturbed(
        self,
        classifier: nn.Module,
        x: Float[Tensor, "B *shape"],
        y: Int[Tensor, " B"],
        *,
        bounds: tuple[float, float],
        generator: torch.Generator,
    ) -> Float[Tensor, "B *shape"]:
        """Inputs x' of the inner maximisation, `(B, *shape)`, without a graph; the classifier is left as found."""
        x, epsilon = x.detach(), float(self.epsilon)
        options: Any = {"norm": self.norm, "steps": self.steps, "loss": self.loss, "random_start": self.random_start}
        options |= {"bounds": bounds, "generator": generator}
        target = None if self.target is None else targets_of(classifier, x, y, self.target, generator)
        if self.solver == "apgd":
            return apgd(classifier, x, y, epsilon, target=target, **options)
        options["step_size"] = None if self.step_size is None else float(self.step_size)
        if target is not None:
            return targeted_pgd(classifier, x, y, epsilon, target, **options)
        return pgd(classifier, x, y, epsilon, start=self.start(x, generator), **options)

    def start(self, x: Float[Tensor, "B *shape"], generator: torch.Generator) -> Float[Tensor, "B *shape"] | None:
        """Where PGD away from the true class starts, `(B, *shape)`; None for what `random_start` says."""
        return None

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


def _check_solver(solver: Solver, target: Target | None, norm: Norm, loss: Loss, step_size: Strength | None) -> None:
    """Refuse options of the inner maximisation that do not go together."""
    check_choice(solver, get_args(Solver), "solver")
    check_choice(target, (None, *get_args(Target)), "target")
    if solver == "apgd":
        check_choice(norm, NORMS, "norm of APGD")
        if step_size is not None:
            raise ValueError(f"`step_size` should be left out with APGD, which finds its own. Found {step_size}.")
    if target is not None and loss == "kl":
        raise ValueError("`loss` should be cross_entropy, margin or dlr with a target. Found 'kl'.")

"""APGD and targeted ascent as inner maximisations of training: paper 3, Fig. 3b and Table 2.

Croce and Hein 2020, https://arxiv.org/abs/2003.01690, Algorithm 1. The attacks of the evaluation are those of the
authors' package, see `eval.attacks`; here no sample leaves its batch and nothing waits for the device.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_choice, check_counts
from alignment.deferral import refuse_if
from alignment.gradients import as_variable, pick
from training.attack_loss import Loss, attack_loss
from training.balls import Ball, Norm, column
from training.proposals import Task, per_sample, settled
from training.seeds import generator_or_fresh

Solver = Literal["pgd", "apgd"]
Raised = Callable[[Tensor], Tensor]
"""From logits `(B, C)` to what is raised, `(B,)`."""

KEPT, ENOUGH = 0.75, 0.75
"""α, how much of a step is new; ρ, the share of steps that must raise the loss for the step to stay as long."""
REACH = 2.5
"""How many ε all steps of a targeted PGD together can go by default."""


def apgd(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    epsilon: float | Float[Tensor, " B"],
    *,
    norm: Norm = "Linf",
    steps: int = 10,
    step_size: float | None = None,
    loss: Loss = "auto",
    targeted: bool = False,
    adaptive: bool = True,
    bounds: tuple[float, float],
    random_start: bool = True,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "B *shape"]:
    """Maximise a loss in a ball by steps with momentum that halve where they no longer help (APGD).

    The classifier is used in evaluation mode and left as it was found; parameter gradients are not touched.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        x: inputs within the bounds, `(B, *shape)`.
        y: true classes, `(B,)` int64 in [0, C).
        epsilon: radius of the ball in the data's own units.
        norm: of the ball, Linf or L2.
        steps: each is one forward and one backward pass.
        step_size: of steps that are not adaptive; None for 2.5 ε / steps. Adaptive ones begin with 2 ε.
        loss: see `training.attacks.pgd`.
        targeted: raise it towards a wrong class that is drawn for each sample: minus the cross-entropy of that class,
            its logit minus the true one, or the same on the scale of the targeted DLR. There is no targeted "kl".
        adaptive: as APGD; else steps of one size without momentum, as PGD.
        bounds: lowest and highest legal value of an input.
        random_start: start uniformly in the ball rather than at x.
        generator: of the random start and the targets.

    Returns:
        Of adaptive steps, where the loss was largest; else the last point. `(B, *shape)`, within ball and bounds.

    Raises:
        ValueError: for what `pgd` refuses, a norm that APGD does not know, a targeted "kl", or a targeted "dlr" with
            fewer than four classes.
    """
    check_choice(loss, get_args(Loss), "loss")
    check_counts(1, steps=steps)
    if targeted and loss == "kl":
        raise ValueError("`loss` should not be 'kl' with `targeted`: it has no target. Name another one.")
    source = generator_or_fresh(generator)

    def propose(task: Task) -> Tensor:
        assert task.ball is not None  # a norm and a strength were given
        start = task.ball.random_point(source) if random_start else task.x
        reference = task.constant_logits(task.x)
        target = _targets(task.y, reference, source) if targeted else None
        slope = _Slope(task, _raised(task.y, loss, reference, target))
        if adaptive:
            points = _Adaptive(task.ball, slope, steps, task.strength).climbed(start)
        else:
            points = _constant(task.ball, slope, steps, _stride(task, steps, step_size), start)
        slope.refuse()
        return points

    return settled(propose, classifier, x, y, epsilon, norm=norm, norms=("Linf", "L2"), bounds=bounds, name="epsilon")


def _stride(task: Task, steps: int, step_size: float | None) -> Float[Tensor, " B"]:
    """The length of a step that is not adaptive."""
    return REACH * task.strength / steps if step_size is None else per_sample(step_size, task.x, "step_size")


def _targets(y: Tensor, logits: Tensor, generator: torch.Generator) -> Int[Tensor, " B"]:
    """A wrong class for each sample, all equally likely."""
    classes = logits.shape[1]
    shift = torch.randint(1, classes, y.shape, generator=generator, device=generator.device)
    return (y + shift.to(y.device)) % classes


def _raised(y: Tensor, loss: Loss, reference: Tensor, target: Tensor | None) -> Raised:
    """What is raised, as a function of the logits."""
    if target is None:
        return lambda logits: attack_loss(logits, y, loss, reference)
    if loss == "dlr" and reference.shape[1] < 4:
        raise ValueError(f"`loss` 'dlr' with `targeted` needs four classes. Found {reference.shape[1]}.")
    return lambda logits: towards(logits, y, target, loss)


def towards(
    logits: Float[Tensor, "B C"], y: Int[Tensor, " B"], target: Int[Tensor, " B"], loss: Loss
) -> Float[Tensor, " B"]:
    """How far logits lean towards a target: targeted cross-entropy, margin or DLR (Croce and Hein 2020, Eq. 7).

    Args:
        logits: of perturbed inputs.
        y: true classes.
        target: wrong classes.
        loss: "auto" is the margin for two classes, cross-entropy for more.
    """
    if loss == "cross_entropy" or (loss == "auto" and logits.shape[1] > 2):
        return -F.cross_entropy(logits, target, reduction="none")
    margin = pick(logits, target) - pick(logits, y)
    if loss != "dlr":
        return margin
    first, _, third, fourth = logits.topk(4, dim=1).values.unbind(dim=1)
    return margin / (first - (third + fourth) / 2).clamp(min=1e-12)


class _Slope:
    """The loss at a point, and its gradient there; remembers for which samples that was no number."""

    def __init__(self, task: Task, raised: Raised) -> None:
        self.task, self.raised = task, raised
        self.broken = torch.zeros_like(task.y, dtype=torch.bool)

    def __call__(self, point: Tensor) -> tuple[Tensor, Tensor]:
        variable = as_variable(point)
        value = self.raised(self.task.logits(variable))
        (gradient,) = torch.autograd.grad(value.sum(), variable)
        self.broken |= (~gradient.isfinite()).flatten(1).any(dim=1)
        return value.detach(), gradient

    def refuse(self) -> None:
        """Once at the end, because to look at every step would make a GPU wait."""
        refuse_if(
            self.broken.sum(),
            lambda found: (
                "`gradient of classifier(x)` should be finite. "
                f"Found NaN or infinite values in those of {found} samples."
            ),
        )


def _constant(ball: Ball, slope: _Slope, steps: int, stride: Tensor, point: Tensor) -> Tensor:
    """PGD."""
    for _ in range(steps):
        point = ball.step(point, slope(point)[1], stride)
    return point


def checkpoints(steps: int) -> list[int]:
    """After which steps APGD decides whether to halve its step: w_j = ⌈p_j · steps⌉ with p_1 = 0.22.

    Example:
        >>> checkpoints(100)
        [22, 41, 57, 70, 80, 87, 93, 99]
    """
    shares, found = [0.0, 0.22], []
    while (after := math.ceil(round(shares[-1] * steps, 9))) <= steps:
        found.append(after)
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    return sorted(set(found))


@dataclass
class _Best:
    """Where the loss of each sample was largest, and the gradient there."""

    value: Tensor
    point: Tensor
    gradient: Tensor

    def take(self, value: Tensor, point: Tensor, gradient: Tensor) -> None:
        """Keep what is better."""
        better = value > self.value
        wide = column(better, point)
        self.value = torch.where(better, value, self.value)
        self.point = torch.where(wide, point, self.point)
        self.gradient = torch.where(wide, gradient, self.gradient)

    def given_back(self, back: Tensor, value: Tensor, point: Tensor, gradient: Tensor) -> tuple[Tensor, ...]:
        """The same three, for some samples where the loss was largest."""
        wide = column(back, point)
        best = torch.where(wide, self.point, point), torch.where(wide, self.gradient, gradient)
        return torch.where(back, self.value, value), *best


class _Adaptive:
    """APGD of one batch."""

    def __init__(self, ball: Ball, slope: _Slope, steps: int, epsilon: Tensor) -> None:
        self.ball, self.slope, self.steps = ball, slope, steps
        self.stride, self.halved = 2 * epsilon, torch.zeros_like(epsilon, dtype=torch.bool)

    def climbed(self, point: Float[Tensor, "B *shape"]) -> Float[Tensor, "B *shape"]:
        """Where the loss was largest."""
        value, gradient = self.slope(point)
        best, before, at_last = _Best(value, point, gradient), point, value
        rises, last_decision = torch.zeros_like(value), 0
        for step in range(1, self.steps + 1):
            before, point = point, self._moved(point, before, gradient, first=step == 1)
            last, (value, gradient) = value, self.slope(point)
            rises = rises + (value > last)
            best.take(value, point, gradient)
            if step in checkpoints(self.steps):
                stuck = ~self.halved & (best.value == at_last)
                self.halved = stuck | (rises < ENOUGH * (step - last_decision))
                value, point, gradient = best.given_back(self.halved, value, point, gradient)
                self.stride = torch.where(self.halved, self.stride / 2, self.stride)
                at_last, rises, last_decision = best.value, torch.zeros_like(value), step
        return best.point

    def _moved(self, point: Tensor, before: Tensor, gradient: Tensor, *, first: bool) -> Tensor:
        """A step, and part of the one before it."""
        ahead = self.ball.step(point.clone(), gradient, self.stride)
        if first:
            return ahead
        return self.ball.projected(point + KEPT * (ahead - point) + (1 - KEPT) * (point - before))

"""Auto-PGD, whose steps shorten by themselves, for training on what it finds.

Croce and Hein 2020, Algorithm 1, https://arxiv.org/abs/2003.01690. The evaluation takes the authors' package
(`eval.attacks.auto_attack`); inside training an attack may not depend on an extra, draw from the global random state
or wait for the GPU at every step, and it should end where the loss is largest, also where nothing is fooled.
"""

import math
from dataclasses import dataclass
from typing import get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_choice, check_counts, check_label_form
from alignment.gradients import as_variable, gradient_of
from training.ascent import refuse_broken
from training.attack_loss import Loss, attack_loss, slope_in_logits
from training.attacks import checked_targets
from training.balls import Ball, Norm, column
from training.proposals import Task, settled
from training.seeds import generator_or_fresh

NORMS: tuple[Norm, ...] = ("Linf", "L2")
MOMENTUM = 0.75
"""α: how much of a step is its own, the rest being the last step again."""
RISING = 0.75
"""ρ: the share of steps that should raise the loss, or the stride is halved."""


def apgd(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    epsilon: float | Float[Tensor, " B"],
    *,
    norm: Norm = "Linf",
    steps: int = 10,
    loss: Loss = "cross_entropy",
    target: Int[Tensor, " B"] | None = None,
    bounds: tuple[float, float],
    random_start: bool = True,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "B *shape"]:
    """Maximise a loss in a ball, by steps of 2ε that are halved, sample by sample, where they stop helping.

    At each of the checkpoints of `checkpoints`, a sample whose loss rose in less than ¾ of the steps since the last
    one, or whose best loss and stride have not changed since, goes on from its best point with half the stride.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`; used in evaluation mode and left as found.
        x: inputs within the bounds, `(B, *shape)`.
        y: true classes, `(B,)` int64 in [0, C).
        epsilon: radius of the ball in the data's own units, one number or one per sample.
        norm: of the ball, Linf or L2; in L1 the attack is another one (Croce and Hein 2021).
        steps: gradient steps; there is one forward and one backward pass more.
        loss: what is raised, see `training.attacks.pgd`; "dlr" for APGD-DLR.
        target: the wrong class to go to, `(B,)` int64, for T-APGD; None for any.
        bounds: lowest and highest legal value of an input.
        random_start: start uniformly in the ball rather than at x.
        generator: source of the random start; None for a fresh one.

    Returns:
        The points of the largest loss, `(B, *shape)`.

    Raises:
        ValueError: see `training.attacks.pgd`.
    """
    check_choice(loss, get_args(Loss), "loss")
    check_counts(1, steps=steps)
    if loss == "kl" and not random_start:
        raise ValueError(
            "`random_start` should be True with the loss 'kl', whose gradient is zero at x. Found False."
        )
    if target is not None:
        check_label_form(target, len(x), "target")
    source = generator_or_fresh(generator)

    def propose(task: Task) -> Tensor:
        assert task.ball is not None  # a norm and a strength were given
        aims = None if target is None else checked_targets(task, target)
        reference = task.constant_logits(task.x) if loss == "kl" else None
        raised = _Raised(task, loss, reference, aims)
        start = task.ball.random_point(source) if random_start else task.x
        found = _climbed(raised, task.ball, start, 2 * task.strength, steps)
        raised.check()
        return found

    return settled(propose, classifier, x, y, epsilon, norm=norm, norms=NORMS, bounds=bounds, name="epsilon")


def checkpoints(steps: int) -> list[int]:
    """After which steps strides are looked at: shares 0, .22, .41, .57, .70, … of them, rounded up.

    Example:
        >>> checkpoints(100)
        [22, 41, 57, 70, 80, 87, 93, 99]
        >>> checkpoints(10)
        [3, 5, 6, 7, 8, 9, 10]
    """
    before, share, found = 0.0, 0.22, []
    while share <= 1:
        found.append(math.ceil(round(share * steps, 9)))
        before, share = share, share + max(share - before - 0.03, 0.06)
    return sorted({*found})


class _Raised:
    """The loss and its gradient at points; whether all gradients were finite is looked at once, at the end."""

    def __init__(self, task: Task, loss: Loss, reference: Tensor | None, target: Tensor | None) -> None:
        self.task, self.loss, self.reference, self.target = task, loss, reference, target
        self.broken = torch.zeros(len(task.y), dtype=torch.bool, device=task.x.device)

    def __call__(self, points: Tensor) -> tuple[Tensor, Tensor]:
        variable = as_variable(points)
        logits = self.task.logits(variable)
        given = (self.task.y, self.loss, self.reference, self.target)
        gradient = gradient_of(logits, variable, along=slope_in_logits(logits.detach(), *given))
        self.broken |= ~gradient.flatten(1).isfinite().all(dim=1)
        return attack_loss(logits.detach(), *given), gradient

    def check(self) -> None:
        """Refuse gradients that were not finite."""
        refuse_broken(self.broken.sum())


@dataclass
class _Best:
    """The best point of each sample so far, and what the last checkpoint saw."""

    loss: Tensor
    point: Tensor
    gradient: Tensor
    loss_then: Tensor
    halved_then: Tensor
    rises: Tensor

    def seen(self, loss: Tensor, point: Tensor, gradient: Tensor, last: Tensor) -> None:
        """After a step: count it where the loss rose from the last point, and keep the point where it is the best."""
        better = loss > self.loss
        self.rises += loss > last
        self.point = torch.where(column(better, point), point, self.point)
        self.gradient = torch.where(column(better, point), gradient, self.gradient)
        self.loss = torch.where(better, loss, self.loss)

    def stalled(self, since: int) -> Tensor:
        """At a checkpoint, `since` steps after the last: which samples should take shorter steps."""
        still = ~self.halved_then & (self.loss <= self.loss_then)
        stalled = (self.rises < RISING * since) | still
        self.loss_then, self.halved_then = self.loss, stalled
        self.rises = torch.zeros_like(self.rises)
        return stalled


def _climbed(raised: _Raised, ball: Ball, start: Tensor, stride: Tensor, steps: int) -> Tensor:
    """The point of the largest loss that each sample met, start and end included."""
    point = last_point = start
    loss, gradient = raised(point)
    never = torch.zeros_like(raised.broken)
    best = _Best(loss, point, gradient, loss, never, torch.zeros_like(loss))
    looks, looked = set(checkpoints(steps)), 0
    for step in range(1, steps + 1):
        ahead = ball.step(point, gradient, stride)
        own = 1.0 if step == 1 else MOMENTUM
        moved = ball.projected(point + own * (ahead - point) + (1 - own) * (point - last_point))
        last, last_point, point = loss, point, moved
        loss, gradient = raised(point)
        best.seen(loss, point, gradient, last)
        if step in looks:
            stalled = best.stalled(step - looked)
            looked = step
            stride = torch.where(stalled, stride / 2, stride)
            back = column(stalled, point)
            point, gradient = torch.where(back, best.point, point), torch.where(back, best.gradient, gradient)
            loss = torch.where(stalled, best.loss, loss)
    return best.point

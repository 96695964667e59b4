"""Projected gradient descent, the inner maximiser of training and an attack of the evaluation.

Madry et al. 2018, https://arxiv.org/abs/1706.06083; paper 1, Eq. 17 and section 3.3.
"""

from typing import NamedTuple, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import (
    check_choice,
    check_counts,
    check_finite,
    check_floating,
    check_inputs,
    check_label_form,
    check_number,
    check_range,
    check_same_shape,
)
from training.active import Active
from training.ascent import Ascent
from training.attack_loss import Loss, attack_loss
from training.balls import DUAL, ORDER, Distance, Norm, column
from training.climb import Climb
from training.leaving import Leaving
from training.proposals import Task, numeric, per_sample, settled
from training.seeds import generator_or_fresh

__all__ = [
    "DUAL",
    "ORDER",
    "Distance",
    "Loss",
    "Norm",
    "attack_loss",
    "check_inputs",
    "column",
    "fgsm",
    "mi_fgsm",
    "per_sample",
    "pgd",
    "targeted_pgd",
]

REACH: dict[Norm, float] = {"Linf": 2.5, "L2": 4.0, "L1": 2.5}
"""How many ε all steps together can go by default. In L2 each step shrinks the tangent of half the angle between a
random start and the gradient by e^(−step/ε): at 2.5 a linear margin ends one to two per cent short of its optimum,
at 4 a tenth of a per cent. In Linf and L1, 2 is enough to cross the ball from the worst of starts."""


def pgd(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    epsilon: float | Float[Tensor, " B"],
    *,
    norm: Norm = "Linf",
    steps: int = 40,
    step_size: float | Float[Tensor, " B"] | None = None,
    loss: Loss = "auto",
    momentum: float = 0.0,
    bounds: tuple[float, float],
    random_start: bool = True,
    restarts: int = 1,
    generator: torch.Generator | None = None,
    leave_when_fooled: bool = False,
    start: Float[Tensor, "B *shape"] | None = None,
) -> Float[Tensor, "B *shape"]:
    """Maximise a loss inside a ball around x by projected gradient ascent (paper 1, Eq. 17).

    The classifier is used in evaluation mode and left as it was found; parameter gradients are not touched.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        x: inputs within the bounds, `(B, *shape)`.
        y: true classes, `(B,)` int64 in [0, C).
        epsilon: radius of the ball in the data's own units, one number or one per sample.
        norm: of the ball. Linf steps along the sign of the gradient, L2 along its direction, L1 moves the
            coordinates with the largest gradients as far as the bounds allow, see `training.balls.L1Ball`.
        steps: gradient steps, κ; each is one forward and one backward pass.
        step_size: η in the norm of the ball, one number or one per sample, the paper's η_L2 being η_Linf·√n; None
            for 2.5 ε / steps with Linf and L1 and 4 ε / steps with L2.
        loss: "margin" is the largest wrong logit minus the true one (in Linf the attack is then CW∞), "dlr" is that
            of Croce and Hein 2020, "kl" is KL(p(x) ‖ p(x')), the inner maximisation of TRADES (Zhang et al. 2019),
            where p(x) is constant and costs one more forward pass;
            "auto" is the margin for two classes, where cross-entropy saturates in float32 and the attack
            stalls on confident models, and cross-entropy for more.
        momentum: μ of MI-FGSM (Dong et al. 2018, Eq. 6): steps follow a sum of gradients, each of L1 norm 1, in
            which the past decays by μ at every step.
        bounds: lowest and highest legal value of an input; infinite for unbounded data.
        random_start: start uniformly in the ball rather than at x.
        restarts: how often to start. A sample that is misclassified at the end of one stays there, the others are
            attacked again; what never is ends where the last one did.
        generator: source of the random start; None for a fresh one. The global random state is not used.
        leave_when_fooled: a sample leaves the batch at its first misclassified iterate, and ends there instead of
            taking all steps.
        start: where to start once in place of a random start, `(B, *shape)`; moved into ball and bounds.

    Returns:
        Perturbed inputs within ball and bounds, `(B, *shape)`.

    Raises:
        ValueError: for a start of another shape than x, an epsilon, a step size or a momentum below 0, an infinite
            epsilon or step size, labels that are no int64 or out of range, inputs that are no floating-point tensor,
            NaN or outside the bounds, logits or gradients that are not finite, a choice that does not exist, or the
            loss "kl" or restarts without a random start: the gradient of "kl" is zero at x, and every restart would
            be the same.
    """
    options = PGDOptions(steps, step_size, loss, momentum, random_start, restarts, leave_when_fooled, start)
    return _climbed(classifier, x, y, epsilon, options, norm=norm, bounds=bounds, generator=generator)


def targeted_pgd(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    epsilon: float | Float[Tensor, " B"],
    target: Int[Tensor, " B"],
    *,
    norm: Norm = "Linf",
    steps: int = 40,
    step_size: float | Float[Tensor, " B"] | None = None,
    loss: Loss = "auto",
    bounds: tuple[float, float],
    random_start: bool = True,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "B *shape"]:
    """PGD towards one wrong class per sample (Kurakin et al. 2017, https://arxiv.org/abs/1611.01236).

    What is raised is the targeted form of the loss, see `attack_loss`.

    Args:
        classifier: see `pgd`.
        x: see `pgd`.
        y: see `pgd`.
        epsilon: see `pgd`.
        target: the wrong class to go to, `(B,)` int64 in [0, C); see `training.targets` for the usual choices.
        norm: see `pgd`.
        steps: see `pgd`.
        step_size: see `pgd`.
        loss: see `pgd`; not "kl".
        bounds: see `pgd`.
        random_start: see `pgd`.
        generator: see `pgd`.

    Raises:
        ValueError: as `pgd`, for targets that are no int64 or out of range, or the loss "kl".
    """
    check_label_form(target, len(x), "target")
    options = PGDOptions(steps, step_size, loss, 0.0, random_start, 1, False)
    return _climbed(classifier, x, y, epsilon, options, target, norm=norm, bounds=bounds, generator=generator)


def fgsm(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    epsilon: float | Float[Tensor, " B"],
    *,
    norm: Norm = "Linf",
    loss: Loss = "auto",
    bounds: tuple[float, float],
    generator: torch.Generator | None = None,
    leave_when_fooled: bool = False,
) -> Float[Tensor, "B *shape"]:
    """One step of length ε from x (Goodfellow et al. 2015, https://arxiv.org/abs/1412.6572); options as of `pgd`."""
    return pgd(
        classifier,
        x,
        y,
        epsilon,
        norm=norm,
        steps=1,
        step_size=epsilon,
        loss=loss,
        bounds=bounds,
        random_start=False,
        generator=generator,
        leave_when_fooled=leave_when_fooled,
    )


def mi_fgsm(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    epsilon: float | Float[Tensor, " B"],
    *,
    norm: Norm = "Linf",
    steps: int = 10,
    momentum: float = 1.0,
    loss: Loss = "auto",
    bounds: tuple[float, float],
    generator: torch.Generator | None = None,
    leave_when_fooled: bool = False,
) -> Float[Tensor, "B *shape"]:
    """MI-FGSM (Dong et al. 2018, Algorithm 1): steps of ε / steps from x, with momentum; options as of `pgd`."""
    check_counts(0, steps=steps)
    return pgd(
        classifier,
        x,
        y,
        epsilon,
        norm=norm,
        steps=steps,
        step_size=numeric(epsilon, "epsilon") / max(steps, 1),
        loss=loss,
        momentum=momentum,
        bounds=bounds,
        random_start=False,
        generator=generator,
        leave_when_fooled=leave_when_fooled,
    )


class PGDOptions(NamedTuple):
    """How `pgd` climbs; see there."""

    steps: int
    step_size: float | Tensor | None
    loss: Loss
    momentum: float
    random_start: bool
    restarts: int
    leave_when_fooled: bool
    start: Tensor | None = None


def _climbed(
    classifier: nn.Module,
    x: Tensor,
    y: Tensor,
    epsilon: float | Tensor,
    options: PGDOptions,
    target: Tensor | None = None,
    *,
    norm: Norm,
    bounds: tuple[float, float],
    generator: torch.Generator | None,
) -> Tensor:
    """Where PGD ends."""
    steps, step_size, loss, momentum, random_start, restarts, leave_when_fooled, given = options
    _check_options(steps, loss, momentum, random_start, restarts)
    if given is not None:
        check_floating(given, "start")
        check_same_shape(given, x, "start", "x")
    source = generator_or_fresh(generator)

    def propose(task: Task) -> Tensor:
        stride = _stride(task, norm, steps, step_size)
        reference = task.constant_logits(task.x) if loss == "kl" else None
        aims = None if target is None else checked_targets(task, target)
        ascent = Ascent(task.logits, steps, loss, momentum, leave_when_fooled, Leaving.for_device(x.device))

        def attempt(given: Tensor | None = None) -> Tensor:
            assert task.ball is not None  # a norm and a strength were given
            if given is not None:
                start = task.ball.projected(given.detach())
            else:
                start = task.ball.random_point(source) if random_start else task.x
            return ascent(Climb.started(task.ball, task.y, stride, reference, start, aims))

        active, points = Active(task.x), attempt(given)
        for _ in range(restarts - 1):
            stays = task.correct(task.settled(points))
            points, task, stride = active.keep(stays, points, points, task, stride)
            reference = reference if reference is None else reference[stays]
            if not len(active):
                break
            points = attempt()
        return active.end(points)

    return settled(propose, classifier, x, y, epsilon, norm=norm, norms=get_args(Norm), bounds=bounds, name="epsilon")


def checked_targets(task: Task, target: Tensor) -> Tensor:
    """Targets as the attack may use them.

    Raises:
        ValueError: if one is no class of the classifier.
    """
    check_range(target, task.constant_logits(task.x).shape[1], "target")
    return target.detach().clone()


def _check_options(steps: int, loss: Loss, momentum: float, random_start: bool, restarts: int) -> None:
    check_choice(loss, get_args(Loss), "loss")
    check_counts(0, steps=steps)
    check_counts(1, restarts=restarts)
    check_number(momentum, "momentum", "be at least 0", lambda value: value >= 0)
    if not random_start and (restarts > 1 or loss == "kl"):
        raise ValueError(
            "`random_start` should be True with more than one restart or the loss 'kl'. "
            f"Found False with restarts={restarts} and loss={loss!r}."
        )


def _stride(task: Task, norm: Norm, steps: int, step_size: float | Tensor | None) -> Float[Tensor, " B"]:
    """The length of a step of each sample."""
    if step_size is None:
        return REACH[norm] * task.strength / max(steps, 1)
    stride = per_sample(step_size, task.x, "step_size")
    check_finite(stride, "step_size")
    return stride

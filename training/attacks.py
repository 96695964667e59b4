"""Projected gradient descent, the inner maximiser of training and an attack of the evaluation.

Madry et al. 2018, https://arxiv.org/abs/1706.06083; paper 1, Eq. 17 and section 3.3.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_choice, check_finite, check_labels
from alignment.gradients import as_variable, differentiable, evaluating, gradient_of, logits_of, pick
from training.balls import BALLS, DUAL, ORDER, Ball, Norm, column, unit

__all__ = [
    "DUAL",
    "ORDER",
    "Loss",
    "Norm",
    "attack_loss",
    "check_inputs",
    "column",
    "fgsm",
    "fresh_generator",
    "mi_fgsm",
    "per_sample",
    "pgd",
]

Loss = Literal["auto", "cross_entropy", "margin", "dlr", "kl"]

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
    bounds: tuple[float, float] = (-1.0, 1.0),
    random_start: bool = True,
    restarts: int = 1,
    generator: torch.Generator | None = None,
    leave_when_fooled: bool = False,
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
        restarts: how often to start. A sample that is misclassified at the end of one keeps that answer, the others
            are attacked again; what never is keeps the last.
        generator: source of the random start; None for a fresh one. The global random state is not used.
        leave_when_fooled: a sample leaves the batch at its first misclassified iterate, which is then its
            answer, instead of taking all steps.

    Returns:
        Perturbed inputs within ball and bounds, `(B, *shape)`.

    Raises:
        ValueError: for an epsilon, a step size or a momentum below 0, labels out of range, inputs that are NaN or
            outside the bounds, logits that are not finite, a choice that does not exist, or the loss "kl" or
            restarts without a random start: the gradient of "kl" is zero at x, and every restart would be the same.
    """
    check_choice(norm, get_args(Norm), "norm")
    check_choice(loss, get_args(Loss), "loss")
    check_inputs(x, bounds)
    if steps < 0:
        raise ValueError(f"`steps` should be at least 0. Found {steps}.")
    if not momentum >= 0:
        raise ValueError(f"`momentum` should be at least 0. Found {momentum}.")
    if restarts < 1:
        raise ValueError(f"`restarts` should be at least 1. Found {restarts}.")
    if not random_start and (restarts > 1 or loss == "kl"):
        raise ValueError(
            "`random_start` should be True with more than one restart or the loss 'kl'. "
            f"Found False with restarts={restarts} and loss={loss!r}."
        )
    radius = per_sample(epsilon, x, "epsilon")
    stride = REACH[norm] * radius / max(steps, 1) if step_size is None else per_sample(step_size, x, "step_size")
    generator = generator or fresh_generator()
    with evaluating(classifier), differentiable():
        # Copies, because what was made in inference mode cannot take part in a gradient.
        x, y, radius, stride = (value.detach().clone() for value in (x, y, radius, stride))
        reference = _constant_logits(classifier, x) if loss == "kl" else None
        task = _Task(BALLS[norm](x, radius, bounds), y, stride, reference)

        def attempt(task: _Task) -> Tensor:
            start = task.ball.random_point(generator) if random_start else task.ball.x
            end = _ascend(classifier, task, start, steps, loss, momentum, leave_when_fooled)
            return task.ball.projected(end)

        answer = attempt(task)
        for _ in range(restarts - 1):
            rest = _constant_logits(classifier, answer).argmax(dim=1) == y
            if not rest.any():
                break
            answer[rest] = attempt(task.only(rest))
    return answer


def fgsm(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    epsilon: float | Float[Tensor, " B"],
    **options: Any,
) -> Float[Tensor, "B *shape"]:
    """One step of length ε from x (Goodfellow et al. 2015, https://arxiv.org/abs/1412.6572); options as of `pgd`."""
    return pgd(classifier, x, y, epsilon, steps=1, step_size=epsilon, random_start=False, **options)


def mi_fgsm(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    epsilon: float | Float[Tensor, " B"],
    *,
    steps: int = 10,
    momentum: float = 1.0,
    **options: Any,
) -> Float[Tensor, "B *shape"]:
    """MI-FGSM (Dong et al. 2018, Algorithm 1): steps of ε / steps from x, with momentum; options as of `pgd`."""
    stride = epsilon / max(steps, 1)
    return pgd(
        classifier, x, y, epsilon, steps=steps, step_size=stride, momentum=momentum, random_start=False, **options
    )


@dataclass(frozen=True)
class _Task:
    """What belongs to each sample and does not change while it is attacked."""

    ball: Ball
    y: Tensor
    stride: Tensor
    reference: Tensor | None

    def only(self, chosen: Tensor) -> "_Task":
        reference = None if self.reference is None else self.reference[chosen]
        return _Task(self.ball.only(chosen), self.y[chosen], self.stride[chosen], reference)


def _ascend(
    classifier: nn.Module,
    task: _Task,
    point: Tensor,
    steps: int,
    loss: Loss,
    momentum: float,
    leave_when_fooled: bool,
) -> Tensor:
    """Where gradient ascent leads from a point."""
    answer, direction = point.clone(), torch.zeros_like(point)
    active = torch.arange(len(point), device=point.device)
    for step in range(steps if len(point) else 0):
        variable = as_variable(point)
        logits = logits_of(classifier, variable)
        if step == 0:
            check_labels(task.y, len(point), logits.shape[1])
            check_finite(logits.detach(), "classifier(x)")
        gradient = gradient_of(attack_loss(logits, task.y, loss, task.reference), variable)
        direction = direction.mul_(momentum).add_(unit(gradient, order=1.0)) if momentum else gradient
        if leave_when_fooled:
            stays = logits.argmax(dim=1) == task.y
            if not stays.all():
                answer[active] = point
                active, task = active[stays], task.only(stays)
                point, direction = point[stays], direction[stays]
                if len(active) == 0:
                    break
        point = task.ball.step(point, direction, task.stride)
    answer[active] = point
    return answer


def _constant_logits(classifier: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return logits_of(classifier, x)


def attack_loss(
    logits: Float[Tensor, "B C"],
    y: Int[Tensor, " B"],
    loss: Loss = "auto",
    reference: Float[Tensor, "B C"] | None = None,
) -> Float[Tensor, " B"]:
    """The loss an attack raises, per sample; larger means closer to, or further into, a wrong class.

    Args:
        logits: of the perturbed inputs, `(B, C)`.
        y: true classes, `(B,)`; "kl" does not look at them.
        loss: see `pgd`.
        reference: logits of the clean inputs, which "kl" needs, `(B, C)`.

    Raises:
        ValueError: for "dlr" with fewer than three classes, or "kl" without a reference.
    """
    if loss == "auto":
        loss = "margin" if logits.shape[1] == 2 else "cross_entropy"
    if loss == "cross_entropy":
        return F.cross_entropy(logits, y, reduction="none")
    if loss == "kl":
        if reference is None:
            raise ValueError("`loss` 'kl' needs the logits of the clean inputs as `reference`. Found None.")
        clean, perturbed = reference.log_softmax(dim=1), logits.log_softmax(dim=1)
        return F.kl_div(perturbed, clean, reduction="none", log_target=True).sum(dim=1)
    margin = logits.scatter(1, y.unsqueeze(1), -torch.inf).amax(dim=1) - pick(logits, y)
    if loss == "margin":
        return margin
    if logits.shape[1] < 3:
        raise ValueError(f"`loss` 'dlr' needs at least three classes. Found {logits.shape[1]}.")
    ranked = logits.sort(dim=1, descending=True).values
    return margin / (ranked[:, 0] - ranked[:, 2]).clamp(min=1e-12)


def check_inputs(x: Float[Tensor, "B *shape"], bounds: tuple[float, float]) -> None:
    """Refuse inputs that are NaN or outside the bounds, and bounds that are not an interval."""
    low, high = bounds
    if not low < high:
        raise ValueError(f"`bounds` should be (low, high) with low < high. Found {bounds}.")
    check_finite(x, "x")
    if x.numel() and (x.min() < low or x.max() > high):
        raise ValueError(
            f"`x` should lie within `bounds` {bounds}. "
            f"Found values from {float(x.min()):.6g} to {float(x.max()):.6g}."
        )


def per_sample(strength: float | Tensor, x: Tensor, name: str) -> Float[Tensor, " B"]:
    """A strength as one number per sample.

    Raises:
        ValueError: if it is negative, NaN, or not one number or one per sample.
    """
    values = torch.as_tensor(strength, dtype=x.dtype, device=x.device)
    if values.ndim > 1 or (values.ndim == 1 and len(values) != len(x)):
        raise ValueError(
            f"`{name}` should be one number or one per sample ({len(x)}). Found shape {tuple(values.shape)}."
        )
    if values.numel() and not (values >= 0).all():
        raise ValueError(f"`{name}` should be at least 0. Found {float(values.min())}.")
    return values.expand(len(x))


def fresh_generator() -> torch.Generator:
    """A generator that nobody has seeded; the global random state is not used."""
    generator = torch.Generator()
    generator.seed()
    return generator

"""SPSA, a black box: gradients are estimated from differences along random signs.

Uesato et al. 2018, https://arxiv.org/abs/1802.05666, section 4.2 and appendix A. Only the classifier's answers are
used, never a gradient, so that what hides gradients does not hinder it.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_choice, check_finite, check_labels
from alignment.gradients import evaluating, logits_of
from training.attacks import attack_loss, check_inputs, column, fresh_generator, per_sample
from training.balls import LinfBall

DECAY = (0.9, 0.999)
"""How much of its two averages Adam keeps at every step."""


def spsa(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    strength: float | Float[Tensor, " B"],
    *,
    norm: Literal["Linf"] = "Linf",
    steps: int = 100,
    samples: int = 64,
    delta: float = 0.01,
    step_size: float | Float[Tensor, " B"] | None = None,
    batch_size: int = 1024,
    bounds: tuple[float, float] = (-1.0, 1.0),
    generator: torch.Generator | None = None,
) -> Float[Tensor, "B *shape"]:
    """Raise the margin inside an L∞ ball around x, by Adam on estimated gradients.

    A sample leaves at its first misclassified iterate. The classifier is used in evaluation mode and left as it was
    found; the global random state is not used.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`; it need not be differentiable.
        x: inputs within the bounds, `(B, *shape)`.
        y: true classes, `(B,)` int64 in [0, C).
        strength: radius of the ball in the data's own units, one number or one per sample.
        norm: of the ball.
        steps: of Adam; each is one forward pass and those of the estimate.
        samples: random directions in one estimate, each of two forward passes; the paper takes up to 4,096.
        delta: half the distance between the two points of a difference, in the data's own units.
        step_size: of Adam, about how far a coordinate moves in a step, one number or one per sample; None for
            10 ε / steps, at which coordinates find the right side of the ball in spite of the noise.
        batch_size: largest number of inputs shown to the classifier at once, as long as two per sample fit in.
        bounds: lowest and highest legal value of an input; infinite for unbounded data.
        generator: source of the directions; None for a fresh one.

    Returns:
        Perturbed inputs within ball and bounds, `(B, *shape)`.

    Raises:
        ValueError: for a strength or a step size below 0, no step or direction, a delta that is not above 0, labels
            out of range, inputs that are NaN or outside the bounds, logits that are not finite, or another norm.
    """
    check_choice(norm, ("Linf",), "norm")
    check_inputs(x, bounds)
    for name, count in (("steps", steps), ("samples", samples), ("batch_size", batch_size)):
        if count < 1:
            raise ValueError(f"`{name}` should be at least 1. Found {count}.")
    if not delta > 0:
        raise ValueError(f"`delta` should be above 0. Found {delta}.")
    radius = per_sample(strength, x, "strength")
    stride = 10 * radius / steps if step_size is None else per_sample(step_size, x, "step_size")
    generator = generator or fresh_generator()
    with evaluating(classifier), torch.no_grad():
        ball, point, answer = LinfBall(x, radius, bounds), x, x.clone()
        mean, square = torch.zeros_like(x), torch.zeros_like(x)
        active = torch.arange(len(x), device=x.device)
        for step in range(1, steps + 1 if len(x) else 1):
            logits = logits_of(classifier, point)
            if step == 1:
                check_labels(y, len(x), logits.shape[1])
                check_finite(logits, "classifier(x)")
            stays = logits.argmax(dim=1) == y
            if not stays.all():
                answer[active] = point
                active, y, stride, ball = active[stays], y[stays], stride[stays], ball.only(stays)
                point, mean, square = point[stays], mean[stays], square[stays]
                if len(active) == 0:
                    break
            slope = estimated_gradient(classifier, point, y, samples, delta, batch_size, bounds, generator)
            mean = mean.lerp(slope, 1 - DECAY[0])
            square = square.lerp(slope.square(), 1 - DECAY[1])
            spread = (square / (1 - DECAY[1] ** step)).sqrt().clamp(min=torch.finfo(x.dtype).tiny)
            shift = column(stride, point) * (mean / (1 - DECAY[0] ** step)) / spread
            point = (point + shift).clamp(ball.low, ball.high)
        answer[active] = point
    return answer


@torch.no_grad()
def estimated_gradient(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    samples: int,
    delta: float,
    batch_size: int,
    bounds: tuple[float, float],
    generator: torch.Generator,
) -> Float[Tensor, "B *shape"]:
    """Mean over random signs v of ( margin(x + δv) − margin(x − δv) ) / 2δ · v, points moved into the bounds."""
    total = torch.zeros_like(x)
    at_once = max(1, batch_size // (2 * len(x)))
    for count in torch.arange(samples).split(at_once):
        shape, device = (len(count), *x.shape), generator.device
        signs = (2 * torch.randint(2, shape, generator=generator, device=device) - 1).to(x)
        points = torch.stack([x + delta * signs, x - delta * signs]).clamp_(*bounds)
        margins = attack_loss(logits_of(classifier, points.flatten(0, 2)), y.repeat(2 * len(count)), "margin")
        above, below = margins.reshape(2, len(count), len(x))
        total += (signs * ((above - below) / (2 * delta)).reshape(*shape[:2], *[1] * (x.ndim - 1))).sum(dim=0)
    return total / samples

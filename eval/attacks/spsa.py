"""SPSA, a black box: gradients are estimated from differences along random signs.

Uesato et al. 2018, https://arxiv.org/abs/1802.05666, section 4.2 and appendix A. Only the classifier's logits are
used, never a gradient, so that what hides gradients does not hinder it.
"""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_counts, check_finite, check_number
from alignment.gradients import logits_of
from training.active import Active
from training.attack_loss import attack_loss
from training.balls import column
from training.leaving import Departures, Leaving
from training.proposals import Task, per_sample, settled
from training.seeds import generator_or_fresh

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
    bounds: tuple[float, float],
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
        ValueError: for a strength or a step size below 0, an infinite strength, no step or direction, a delta that is
            not above 0, labels that are no int64 or out of range, inputs that are no floating-point tensor, NaN or
            outside the bounds, logits that are not finite, or another norm.
    """
    check_counts(1, steps=steps, samples=samples, batch_size=batch_size)
    check_number(delta, "delta", "be above 0", lambda value: value > 0)
    source = generator_or_fresh(generator)

    def propose(task: Task) -> Tensor:
        default = 10 * task.strength / steps
        stride = default if step_size is None else per_sample(step_size, task.x, "step_size")

        def slope(point: Tensor, y: Tensor) -> Tensor:
            return estimated_gradient(classifier, point, y, samples, delta, batch_size, bounds, source)

        return _climbed(task, stride, steps, slope)

    return settled(
        propose, classifier, x, y, strength, norm=norm, norms=("Linf",), bounds=bounds, setting=torch.no_grad()
    )


def _climbed(task: Task, stride: Tensor, steps: int, slope: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Where Adam leads from x."""
    active, departures, point = Active(task.x), Departures(Leaving()), task.x
    mean, square = torch.zeros_like(point), torch.zeros_like(point)
    for step in range(1, steps + 1):
        stays = task.correct(point)
        # At every step: one costs hundreds of passes, and directions are drawn for those alone that are there.
        point, mean, square, stride, task = departures.keep(active, stays, point, point, mean, square, stride, task)
        if not len(active):
            break
        gradient = slope(point, task.y)
        mean = mean.lerp(gradient, 1 - DECAY[0])
        square = square.lerp(gradient.square(), 1 - DECAY[1])
        spread = (square / (1 - DECAY[1] ** step)).sqrt().clamp(min=torch.finfo(point.dtype).tiny)
        shift = column(stride, point) * (mean / (1 - DECAY[0] ** step)) / spread
        point = task.settled(point + shift)
    ends = active.end(point)
    # NaN among the logits stays in a point once a step has followed it.
    check_finite(ends, "classifier(x)")
    return ends


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

"""The Spatially Transformed Attack: pixels are moved a little instead of changed (Xiao et al. 2018).

https://arxiv.org/abs/1801.02612; paper 1, section 3.3 and Table 3. As published the attack is one SciPy problem for a
whole batch; here every image is a problem of its own and all of them are minimised side by side.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_counts, check_number
from alignment.gradients import as_variable, gradient_of, logits_of
from eval.attacks.finite import FiniteGradients
from generators.bounded_lbfgs import Evaluation, Matrix, Minima, minimise
from training.active import Active
from training.attack_loss import attack_loss
from training.leaving import Departures, Leaving
from training.proposals import Task, settled

ROUND = 4
"""Iterations of other attacks that a round of this one takes as long as, between two looks at who is finished."""

BINARY_MARGIN = 2.0
"""How often the margin of two classes counts, so that τ is in the units of paper 1."""

SMOOTH = 1e-10
"""Added under the two square roots of the roughness, as published."""


def spatial_attack(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    strength: float | Float[Tensor, " B"],
    *,
    norm: None = None,
    iterations: int = 40,
    tolerance: float = 1e-3,
    binary_margin: float = BINARY_MARGIN,
    bounds: tuple[float, float],
    generator: torch.Generator | None = None,
    leave_when_fooled: bool = False,
) -> Float[Tensor, "B *shape"]:
    """Move the pixels of an image so that it is misclassified, the more smoothly the weaker the attack.

    Minimises for each image, over a sampling grid with values in [−1, 1] (see `SpatialObjective`),

        max(logit_y − max_{c≠y} logit_c, 0) + τ·(‖∂_w flow‖₂ + ‖∂_h flow‖₂),        τ = 1 / strength.

    For two classes the margin counts twice: paper 1's program shows the attack the logits (−z, z) of a network with
    one output z, whose margin is 2z where that of (−z/2, z/2) is z, so that its τ of the same flow is twice as large.
    Where the margin can be overcome, the minimum lies on the decision boundary itself, and on which side of it a
    minimiser stops is chance. So the result is the lowest misclassified iterate, if there is one, and else the last;
    values fall from iterate to iterate, so that it is always lower than the unmoved image. The classifier is used in
    evaluation mode and left as it was found.

    Args:
        classifier: from `(B, C, H, W)` to logits `(B, classes)`.
        x: images within the bounds, `(B, C, H, W)`, H and W at least 2.
        y: true classes, `(B,)` int64.
        strength: 1/τ, one number or one per sample; at 0 nothing moves.
        norm: always None: the attack is not limited by a norm.
        iterations: largest number of quasi-Newton steps; a step costs one or more forward and backward passes.
        tolerance: an image is finished when a step lowers its objective by less than this part.
        binary_margin: how often the margin of two classes counts, above 0; 2 for τ in the units of paper 1, 1 for the
            formula as it stands. Of more classes it counts once, in the paper too.
        bounds: lowest and highest legal value of an input.
        generator: not used: the attack draws nothing.
        leave_when_fooled: an image leaves the batch at its first misclassified iterate, and stays as it is there. The
            same images are fooled, much sooner, by rougher flows.

    Returns:
        The images with their pixels moved, `(B, C, H, W)`.

    Raises:
        ValueError: for inputs that are no images, not float32 or float64, not finite or outside the bounds, labels
            that are no int64 or out of range, a strength below 0, a norm, or a classifier that is not differentiable
            or whose logits or gradients are not finite.
    """
    if norm is not None:
        raise ValueError(f"`norm` should be None: pixels that move stay in no ball. Found {norm!r}.")
    check_counts(1, iterations=iterations)
    check_number(tolerance, "tolerance", "be at least 0", lambda value: value >= 0)
    check_number(binary_margin, "binary_margin", "be finite and above 0", lambda value: 0 < value < math.inf)

    def propose(task: Task) -> Tensor:
        check_images(task.x)
        tau, active = 1 / task.strength, Active(task.x)
        objective = SpatialObjective(task.logits, task.x, task.y, tau, binary_margin)
        first = objective.at_rest()
        moves = tau.isfinite() & ~first.goal
        objective, *parts = Departures(Leaving()).keep(active, moves, task.x, objective, *first)
        departures = Departures(Leaving.for_device(task.x.device))
        minima = objective.minimised(
            Evaluation(*parts),
            iterations=iterations,
            tolerance=tolerance,
            stop_at_goal=leave_when_fooled,
            rows=partial(departures.rows, iterations=ROUND),
        )
        objective.gradients.check()
        return active.end(objective.image(minima.point, torch.arange(len(active), device=x.device)))

    return settled(propose, classifier, x, y, strength, norm=norm, norms=(None,), bounds=bounds)


def check_images(x: Tensor) -> None:
    """Refuse what has no neighbouring pixels, and types in which a smooth flow is made of steps."""
    if x.ndim != 4 or min(x.shape[2:]) < 2:
        raise ValueError(f"`x` should be images (B, C, H, W) of at least 2×2 pixels. Found shape {tuple(x.shape)}.")
    if x.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"`x` should be float32 or float64, for flows are found in it. Found {x.dtype}.")


class SpatialObjective:
    """What the attack minimises, as a function of the flow, that is of identity − grid in coordinates from −1 to 1.

    The corners of the grid are the centres of the corner pixels (`align_corners`), so that the identity is exact and
    a grid within [−1, 1] looks at nothing outside the image.

    Args:
        classifier: differentiable, from `(B, C, H, W)` to logits.
        x: images, `(B, C, H, W)`.
        y: true classes, `(B,)`.
        tau: weight of the roughness, `(B,)`.
        binary_margin: how often the margin of two classes counts.
    """

    def __init__(
        self,
        classifier: Callable[[Tensor], Any],
        x: Float[Tensor, "B C H W"],
        y: Int[Tensor, " B"],
        tau: Float[Tensor, " B"],
        binary_margin: float = BINARY_MARGIN,
    ) -> None:
        self.classifier, self.x, self.y, self.tau = classifier, x, y, tau
        self.binary_margin = binary_margin
        self.gradients = FiniteGradients(x.device)
        rows, columns = (torch.linspace(-1, 1, size, dtype=x.dtype, device=x.device) for size in x.shape[2:])
        self.identity = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))

    def __getitem__(self, chosen: Tensor) -> "SpatialObjective":
        """The same for some of the images."""
        some = self.x[chosen], self.y[chosen], self.tau[chosen]
        part = SpatialObjective(self.classifier, *some, self.binary_margin)
        part.gradients = self.gradients
        return part

    def minimised(self, first: Evaluation, **options: Any) -> Minima:
        """The flows found from the identity, `(B, 2·H·W)`; options are those of `minimise`."""
        identity = self.identity.flatten()
        return minimise(
            self,
            torch.zeros_like(first.gradient),
            first,
            identity - 1,
            identity + 1,
            precondition=membrane(self.x),
            **options,
        )

    def image(self, flow: Float[Tensor, "K n"], problem: Int[Tensor, " K"]) -> Float[Tensor, "K C H W"]:
        """The images as their flows move them."""
        grid = (self.identity - flow.unflatten(1, self.identity.shape)).permute(0, 2, 3, 1)
        return F.grid_sample(self.x[problem], grid, mode="bilinear", padding_mode="border", align_corners=True)

    def __call__(self, flow: Float[Tensor, "K n"], problem: Int[Tensor, " K"]) -> Evaluation:
        """Value, gradient and whether the image is misclassified, for one flow of each of K images.

        Raises:
            ValueError: if a gradient is not finite; on a GPU `gradients.check` does, at the end.
        """
        flow = as_variable(flow)
        logits = logits_of(self.classifier, self.image(flow, problem))
        lead = self._lead(logits, self.y[problem])
        value = lead.clamp(min=0) + self.tau[problem] * roughness(flow.unflatten(1, self.identity.shape))
        gradient = gradient_of(value, flow)
        self.gradients.note(gradient)
        return Evaluation(value.detach(), gradient, logits.argmax(dim=1) != self.y[problem])

    def at_rest(self) -> Evaluation:
        """The same at flow 0, where bilinear interpolation has a kink in every pixel.

        The gradient is the mean of those on both sides: central differences of the image. The roughness is level.

        Raises:
            ValueError: if the classifier is not differentiable or a gradient is not finite.
        """
        image = as_variable(self.x)
        logits = logits_of(self.classifier, image)
        lead = self._lead(logits, self.y)
        slope = gradient_of(lead, image)
        self.gradients.note(slope)
        down, right = torch.gradient(self.x, dim=(2, 3))
        height, width = self.x.shape[2:]
        along = [-(slope * right).sum(dim=1) * (width - 1) / 2, -(slope * down).sum(dim=1) * (height - 1) / 2]
        value = lead.detach().clamp(min=0) + 2 * math.sqrt(SMOOTH) * self.tau
        return Evaluation(value, torch.stack(along, dim=1).flatten(1), logits.argmax(dim=1) != self.y)

    def _lead(self, logits: Tensor, y: Tensor) -> Tensor:
        """logit_y − max_{c≠y} logit_c, as often as it counts."""
        counted = self.binary_margin if logits.shape[1] == 2 else 1.0
        return -counted * attack_loss(logits, y, "margin")


def roughness(flow: Float[Tensor, "K 2 H W"]) -> Float[Tensor, " K"]:
    """‖∂_w flow‖₂ + ‖∂_h flow‖₂, Euclidean norms of all differences between neighbours, kept smooth at zero."""
    right, down = (flow.diff(dim=dim).square().flatten(1).sum(dim=1) for dim in (3, 2))
    return (right + SMOOTH).sqrt() + (down + SMOOTH).sqrt()


def membrane(x: Float[Tensor, "B C H W"]) -> Matrix:
    """Smooths gradients as the roughness asks for: the inverse of its curvature, that of a stretched membrane.

    Sums of squared differences are diagonal in sines along the direction of a displacement, in which the bounds hold
    both ends, and in cosines across it, where the ends are free.
    """
    (height_held, height_free), (width_held, width_free) = (
        [_waves(size, x, held=held) for held in (True, False)] for size in x.shape[2:]
    )
    down = torch.stack([height_free[0], height_held[0]])
    right = torch.stack([width_held[0], width_free[0]])
    stiffness = torch.stack([height_free[1][:, None] + width_held[1], height_held[1][:, None] + width_free[1]])

    def smoothed(gradient: Tensor) -> Tensor:
        spectrum = down @ gradient.unflatten(1, stiffness.shape) @ right.mT / stiffness
        return (down.mT @ spectrum @ right).flatten(1)

    return smoothed


def _waves(size: int, like: Tensor, *, held: bool) -> tuple[Float[Tensor, "n n"], Float[Tensor, " n"]]:
    """Orthonormal vibrations of a chain, as rows, and their stiffness; `held` to a wall at both ends, or free."""
    place = torch.arange(size, dtype=torch.float64)
    turn = math.pi * ((place + 1) / (size + 1) if held else place / size)
    rows = torch.outer(turn, place + 1).sin() if held else torch.outer(turn, place + 0.5).cos()
    rows = F.normalize(rows, dim=1)
    return rows.to(like), (2 - 2 * turn.cos()).to(like)

"""The balls that an attack stays in: points within ε of x in L∞, L2 or L1, and within the legal range of an input.

A ball belongs to a batch: centres `(B, *shape)` and one radius per sample. It draws random starts, takes steps of
steepest ascent, and takes back what leaves it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from alignment.double import exactly
from generators.global_batch import drawn

Norm = Literal["Linf", "L2", "L1"]
"""What has a ball."""

Distance = Literal["Linf", "L2", "L1", "L0"]
"""In what a perturbation can be measured: a norm, or L0, the number of coordinates that it changes."""

ORDER: dict[Distance, float] = {"Linf": math.inf, "L2": 2.0, "L1": 1.0, "L0": 0.0}
"""The p of each, as `torch.linalg.vector_norm` takes it."""


def largest_distance(width: float, features: int, distance: Distance) -> float:
    """The largest distance of two inputs of so many coordinates, each in a range of this width.

    Example:
        >>> [largest_distance(2.0, 9, distance) for distance in ("Linf", "L2", "L1", "L0")]
        [2.0, 6.0, 18.0, 9.0]
    """
    return float(features) if distance == "L0" else width * features ** (1 / ORDER[distance])


DUAL: dict[Norm, float] = {"Linf": 1.0, "L2": 2.0, "L1": math.inf}
"""The p of the dual norm, in which gradients are measured."""

INSIDE = 1 - 1e-6
"""L2 and L1 balls are kept this part of their radius, so that rounding in float32 hardly ever leads outside."""


class Ball(ABC):
    """The points within ε of x in a norm and within the bounds."""

    order: float
    parts: ClassVar[tuple[str, ...]] = ("x", "radius")
    """The tensors of a ball, each with one row per sample."""

    def __init__(self, x: Tensor, radius: Tensor, bounds: tuple[float, float]) -> None:
        self.x, self.radius, self.bounds = x, radius, bounds

    def __getitem__(self, chosen: Tensor) -> "Ball":
        """The balls of some samples of the batch."""
        return self.mapped(lambda part: part[chosen])

    def mapped(self, change: Callable[[Tensor], Tensor]) -> "Ball":
        """The ball made of each of its tensors changed."""
        ball = object.__new__(type(self))
        ball.bounds = self.bounds
        for name in self.parts:
            setattr(ball, name, change(getattr(self, name)))
        return ball

    def tensors(self) -> list[Tensor]:
        """What it is made of, in the order of `parts`."""
        return [getattr(self, name) for name in self.parts]

    @abstractmethod
    def random_point(self, generator: torch.Generator) -> Tensor:
        """Uniform in the ball; what lies beyond the bounds is moved to them."""

    @abstractmethod
    def step(self, point: Tensor, gradient: Tensor, stride: Tensor) -> Tensor:
        """The point moved by a stride in the direction of steepest ascent, and kept in the ball."""

    def projected(self, point: Tensor) -> Tensor:
        """The nearest point, as far as the precision goes, in the ball and the bounds.

        Points in the ball stay as they are. What rounding alone carried outside shows where ε is tiny beside x.
        """
        shift = exactly(point) - exactly(self.x)
        length = torch.linalg.vector_norm(shift.flatten(1), ord=self.order, dim=1)
        outside = column(length > exactly(self.radius), point).to(point.device)
        inside = shift * column(exactly(self.radius) / length.clamp(min=1e-300), point)
        near = (exactly(self.x) + inside).to(point.dtype).to(point.device)
        further = ((exactly(near) - exactly(self.x)).abs() > inside.abs()).to(point.device)
        near = torch.where(further, torch.nextafter(near, self.x), near)
        return torch.where(outside, near, point).clamp(*self.bounds)


class LinfBall(Ball):
    """The box of all points within ε of x in every coordinate and within the bounds; it is kept exactly."""

    order = math.inf
    parts = ("x", "radius", "low", "high")

    def __init__(self, x: Tensor, radius: Tensor, bounds: tuple[float, float]) -> None:
        super().__init__(x, radius, bounds)
        exact, reach = exactly(x), column(exactly(radius), x)
        self.low = _rounded(exact - reach, x.dtype, up=True).to(x.device).clamp(min=bounds[0])
        self.high = _rounded(exact + reach, x.dtype, up=False).to(x.device).clamp(max=bounds[1])

    def random_point(self, generator: torch.Generator) -> Tensor:
        """Uniform in the ball; what lies beyond the bounds is moved to them."""
        options: Any = {"generator": generator, "device": generator.device, "dtype": self.x.dtype}
        noise = drawn(len(self.x), generator, lambda count: torch.rand(count, *self.x.shape[1:], **options))
        shift = (2 * noise.to(self.x.device) - 1) * column(self.radius, self.x)
        return (self.x + shift).clamp_(self.low, self.high)

    def step(self, point: Tensor, gradient: Tensor, stride: Tensor) -> Tensor:
        """Along the sign of the gradient."""
        return torch.addcmul(point, gradient.sign(), column(stride, point)).clamp_(self.low, self.high)

    def projected(self, point: Tensor) -> Tensor:
        """The nearest point in the box."""
        return point.clamp(self.low, self.high)


class L2Ball(Ball):
    """The points within Euclidean distance ε of x and within the bounds."""

    order = 2.0

    def random_point(self, generator: torch.Generator) -> Tensor:
        """Uniform in the ball; what lies beyond the bounds is moved to them."""
        options: Any = {"generator": generator, "device": generator.device, "dtype": self.x.dtype}
        noise = drawn(len(self.x), generator, lambda count: torch.randn(count, *self.x.shape[1:], **options))
        share = drawn(len(self.x), generator, lambda count: torch.rand(count, **options))
        length = share.pow(1 / self.x[0].numel()).to(self.x.device) if len(self.x) else share
        shift = unit(noise.to(self.x.device)) * column(length * self.radius, self.x)
        return self._project(self.x + shift)

    def step(self, point: Tensor, gradient: Tensor, stride: Tensor) -> Tensor:
        """Along the gradient."""
        return self._project(unit(gradient).mul_(column(stride, point)).add_(point))

    def _project(self, point: Tensor) -> Tensor:
        shift = point.sub_(self.x)
        length = torch.linalg.vector_norm(shift.flatten(1), dim=1)
        shrink = (INSIDE * self.radius / length.clamp(min=torch.finfo(length.dtype).tiny)).clamp(max=1)
        return shift.mul_(column(shrink, point)).add_(self.x).clamp_(*self.bounds)


class L1Ball(Ball):
    """The points within L1 distance ε of x and within the bounds.

    A step is the steepest one that the bounds allow: along the signs of the largest gradients, each coordinate as
    far as it can go, until the stride is used up. SLIDE (Tramèr and Boneh 2019, https://arxiv.org/abs/1904.13000)
    spreads it over a fixed share of the coordinates instead, and a Euclidean projection takes from all of them
    alike; both end short of the optimum of a linear model, and Croce and Hein 2021,
    https://arxiv.org/abs/2103.01208, show how much the bounds matter. Here what a step carries outside is taken
    back where the gradient loses least, so that the optimum of a linear model is reached within any bounds.
    """

    order = 1.0

    def random_point(self, generator: torch.Generator) -> Tensor:
        """Uniform in the ball; what lies beyond the bounds is moved to them."""
        flat, device = self.x.flatten(1), generator.device
        among = flat.shape[1]
        empty = partial(torch.empty, dtype=flat.dtype, device=device)
        size = drawn(len(flat), generator, lambda count: empty(count, among + 1).exponential_(generator=generator))
        signs = partial(torch.randint, 2, generator=generator, device=device)
        sign = drawn(len(flat), generator, lambda count: signs(size=(count, among)))
        share = ((2 * sign - 1) * size[:, 1:] / size.sum(dim=1, keepdim=True)).to(flat.device).reshape(self.x.shape)
        return (self.x + share * column(self.radius, self.x)).clamp_(*self.bounds)

    def step(self, point: Tensor, gradient: Tensor, stride: Tensor) -> Tensor:
        """Towards the bounds in order of the gradient's size, then back to x in order of what that costs."""
        low, high = self.bounds
        start, slope, centre = point.flatten(1), gradient.flatten(1), self.x.flatten(1)
        room = torch.where(slope > 0, high - start, start - low).minimum(stride.unsqueeze(1))
        end = start + slope.sign() * _spent(stride, room, slope.abs().argsort(dim=1, descending=True))
        shift = end - centre
        surplus = (shift.abs().sum(dim=1) - INSIDE * self.radius).clamp(min=0)
        back = _spent(surplus, shift.abs(), (slope * shift.sign()).argsort(dim=1))
        return (end - shift.sign() * back).clamp_(low, high).reshape(point.shape)


def _spent(budget: Tensor, room: Tensor, ranking: Tensor) -> Tensor:
    """How much each coordinate takes, `(B, n)`, where those that rank first take all they have room for."""
    ranked = room.gather(1, ranking)
    left = budget.unsqueeze(1) - (ranked.cumsum(dim=1) - ranked)
    return torch.empty_like(room).scatter_(1, ranking, ranked.minimum(left.clamp_(min=0)))


def column(values: Tensor, x: Tensor) -> Tensor:
    """One value per sample, in a shape that goes with x."""
    return values.reshape(-1, *[1] * (x.ndim - 1))


def unit(vectors: Tensor, order: float = 2.0) -> Tensor:
    """Vectors of length 1 in the same direction; zero stays zero. Works for gradients of any magnitude."""
    tiny = torch.finfo(vectors.dtype).tiny
    flat = vectors.flatten(1)
    flat = flat / torch.linalg.vector_norm(flat, ord=float("inf"), dim=1, keepdim=True).clamp(min=tiny)
    flat = flat / torch.linalg.vector_norm(flat, ord=order, dim=1, keepdim=True).clamp(min=tiny)
    return flat.reshape(vectors.shape)


def _rounded(exact: Tensor, dtype: torch.dtype, *, up: bool) -> Tensor:
    """float64 values in another precision, rounded upwards or downwards instead of to nearest."""
    near = exact.to(dtype)
    wrong = near.double() < exact if up else near.double() > exact
    towards = torch.full_like(near, torch.inf if up else -torch.inf)
    return torch.where(wrong, torch.nextafter(near, towards), near)


BALLS: dict[Norm, type[Ball]] = {"Linf": LinfBall, "L2": L2Ball, "L1": L1Ball}

"""Samples that an attack moves, and how far each has come."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from training.balls import Ball


@dataclass(frozen=True)
class Climb:
    """Everything has one row per sample, and is changed in place.

    Attributes:
        ball: in which a sample stays.
        y: true classes, `(B,)`.
        stride: length of a step, `(B,)`.
        reference: logits of the clean inputs, `(B, C)`, for the loss "kl"; None for the others.
        point: where a sample is, `(B, *shape)`.
        direction: in which it moves, of the shape of the point.
        fooled: whether it is to stay, because it is misclassified, `(B,)`.
        largest: entry, by size, of all its directions, `(B,)`; NaN or infinite if one was.
        target: the wrong classes to go to, `(B,)`; None for any.
    """

    ball: Ball
    y: Int[Tensor, " B"]
    stride: Float[Tensor, " B"]
    reference: Float[Tensor, "B C"] | None
    point: Float[Tensor, "B *shape"]
    direction: Float[Tensor, "B *shape"]
    fooled: Bool[Tensor, " B"]
    largest: Float[Tensor, " B"]
    target: Int[Tensor, " B"] | None = None

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, chosen: Tensor) -> "Climb":
        """The same for some of the samples."""
        return self.mapped(lambda part: part[chosen])

    def mapped(self, change: Callable[[Tensor], Tensor]) -> "Climb":
        """The same made of each tensor changed."""
        names = ("y", "stride", "point", "direction", "fooled", "largest")
        given = {"reference": self.reference, "target": self.target}
        optional = {name: change(value) for name, value in given.items() if value is not None}
        changed = {name: change(getattr(self, name)) for name in names}
        return replace(self, ball=self.ball.mapped(change), **optional, **changed)

    def tensors(self) -> list[Tensor]:
        """All it is made of."""
        own = [self.y, self.stride, self.point, self.direction, self.fooled, self.largest]
        return [*self.ball.tensors(), *own, *(part for part in (self.reference, self.target) if part is not None)]

    @property
    def kind(self) -> tuple[Hashable, ...]:
        """What a recording depends on: the ball, and the shapes."""
        shape = None if self.reference is None else self.reference.shape
        targeted, point = self.target is not None, self.point
        return type(self.ball), self.ball.bounds, point.shape, point.dtype, point.device, shape, targeted

    def load(self, other: "Climb") -> None:
        """Take the values of another one of the same shapes."""
        for mine, theirs in zip(self.tensors(), other.tensors(), strict=True):
            mine.copy_(theirs)

    @classmethod
    def started(
        cls,
        ball: Ball,
        y: Tensor,
        stride: Tensor,
        reference: Tensor | None,
        point: Float[Tensor, "B *shape"],
        target: Tensor | None = None,
    ) -> "Climb":
        """Samples at their start."""
        still, nothing = torch.zeros_like(y, dtype=torch.bool), torch.zeros_like(stride)
        return cls(ball, y, stride, reference, point.clone(), torch.zeros_like(point), still, nothing, target)

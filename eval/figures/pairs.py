"""Pairs of samples of different classes: the bijection between supports that paper 1's Theorem 2 assumes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from alignment import closest_class
from training.data import Batch, DataSet


@dataclass(frozen=True)
class Pairs:
    """Samples of two classes each.

    Attributes:
        x: one end, `(B, *shape)`.
        y: its class.
        other: the other end.
        other_y: its class, another.
    """

    x: Float[Tensor, "B *shape"]
    y: Int[Tensor, " B"]
    other: Float[Tensor, "B *shape"]
    other_y: Int[Tensor, " B"]

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, kept: Bool[Tensor, " B"] | Int[Tensor, " K"]) -> "Pairs":
        return Pairs(self.x[kept], self.y[kept], self.other[kept], self.other_y[kept])

    @property
    def turned(self) -> "Pairs":
        """The same pairs from their other ends."""
        return Pairs(self.other, self.other_y, self.x, self.y)


def pairs_of(classifier: nn.Module, data: DataSet, batches: Sequence[Batch]) -> Pairs:
    """Each sample with its closest point of the closest class where Δx is known, else classes with each other."""
    whole = Batch(*(torch.cat(part) for part in zip(*batches, strict=True)))
    if data.exact_residual is None:
        return matched(whole.x, whole.y)
    target = closest_class(classifier, whole.x, whole.y)
    other = (whole.x + data.exact_residual(whole.x, whole.y, target)).clamp(*data.bounds)
    return Pairs(whole.x, whole.y, other, target)


def matched(x: Float[Tensor, "N *shape"], y: Int[Tensor, " N"]) -> Pairs:
    """The samples of the first class with those of the second, of the third with those of the fourth, in order.

    Samples that find no partner are left out.

    Example:
        >>> matched(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([1, 0, 1])).other
        tensor([[1.]])
    """
    members = [(y == c).nonzero().flatten() for c in y.unique().tolist()]
    ends = [
        (first[: len(second)], second[: len(first)])
        for first, second in zip(members[::2], members[1::2], strict=False)
    ]
    empty = torch.zeros(0, dtype=torch.int64, device=y.device)
    left, right = (torch.cat([empty, *side]) for side in zip(*ends, strict=True)) if ends else (empty, empty)
    return Pairs(x[left], y[left], x[right], y[right])

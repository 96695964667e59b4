"""Examples among which a nearest one is looked for: held in memory, or read when they are needed."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor


@runtime_checkable
class Examples(Protocol):
    """Inputs to choose from, of which no more than a block need be in memory.

    Attributes:
        labels: their classes, `(N,)` int64, on the CPU.
        shape: of one of them.
    """

    labels: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        ...

    def read(self, rows: Tensor) -> Tensor:
        """The examples with these numbers, `(R, *shape)`, in floating point.

        Args:
            rows: numbers in [0, N), `(R,)` int64 on the CPU.
        """
        ...


class HeldExamples:
    """Examples that are held as they are given.

    Args:
        images: `(N, *shape)`, on any device.
        labels: `(N,)` int64.

    Raises:
        ValueError: if they differ in number.
    """

    def __init__(self, images: Float[Tensor, "N *shape"], labels: Int[Tensor, " M"]) -> None:
        if len(images) != len(labels):
            raise ValueError(f"`labels` should be one per example, {len(images)}. Found {len(labels)} labels.")
        self.images, self.labels = images, labels.cpu()
        self.shape = tuple(images.shape[1:])

    def read(self, rows: Int[Tensor, " R"]) -> Float[Tensor, "R *shape"]:
        """The examples with these numbers."""
        return self.images[rows.to(self.images.device)]


def rows_by_class(labels: Int[Tensor, " N"]) -> dict[int, Int[Tensor, " K"]]:
    """Numbers of the examples of every class that has any, in order.

    Example:
        >>> import torch
        >>> rows_by_class(torch.tensor([4, 0, 4]))
        {0: tensor([1]), 4: tensor([0, 2])}
    """
    classes, counts = labels.unique(return_counts=True)
    rows = labels.argsort(stable=True).split(counts.tolist())
    return dict(zip(classes.tolist(), rows, strict=True))

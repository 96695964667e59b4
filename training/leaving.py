"""When samples that an attack is done with leave the batch, and which sizes a batch may shrink to."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

SMALLEST = 64
"""Of the sizes that batches shrink to where only some sizes are used: this one doubled again and again."""


@dataclass(frozen=True)
class Leaving:
    """How often samples leave, and what sizes a batch may have then.

    What a sample becomes does not depend on it, only what it costs: to ask who is done makes a GPU wait, and every
    new shape is a new plan for it, while a sample that stays costs a CPU its full price.

    Args:
        every: iterations between two looks.
        buckets: whether a batch shrinks only to the next of 64, 128, 256, … and is filled with samples that are done.
    """

    every: int = 1
    buckets: bool = False

    @classmethod
    def for_device(cls, device: torch.device) -> "Leaving":
        """On a CPU at once and exactly; on a GPU now and then, to few sizes."""
        return cls() if device.type == "cpu" else cls(every=8, buckets=True)

    def rows(self, active: Bool[Tensor, " A"]) -> Int[Tensor, " K"] | None:
        """Which rows of a batch go on, in their order; None for all, which costs no copy.

        Args:
            active: which of them are not done.

        Returns:
            Their numbers, `(K,)`; with buckets some that are done are among them. None of them where all are done.
        """
        count = int(active.sum())
        size = self.size(count)
        if count and size >= len(active):
            return None
        chosen = active.logical_not().to(torch.uint8).argsort(stable=True)[: size if count else 0]
        return chosen.sort().values

    def size(self, count: int) -> int:
        """Of a batch that holds this many samples that are not done."""
        if not self.buckets:
            return count
        size = SMALLEST
        while size < count:
            size *= 2
        return size

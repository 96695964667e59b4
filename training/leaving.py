"""When samples that are done leave an attack, and in what numbers: as it pays on a device.

On a CPU every sample that leaves is work saved. A GPU has to be waited for before it is known who is done, and works
best on few shapes: there it is asked every few iterations, and batches shrink from bucket to bucket, filled up with
samples that are done. Those stay as they were when they were done, so that results are the same either way.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from training.active import Active
from training.balls import column

SMALLEST = 64
"""Samples in the smallest bucket; those above hold twice as many each."""


@dataclass(frozen=True)
class Leaving:
    """The rule by which samples leave a batch.

    Attributes:
        every: iterations between two decisions.
        buckets: whether a batch is filled up to 64, 128, 256, … samples.
    """

    every: int = 1
    buckets: bool = False

    @classmethod
    def for_device(cls, device: torch.device) -> "Leaving":
        """The rule that pays on a device."""
        return cls(every=8, buckets=True) if device.type == "cuda" else cls()

    def size(self, count: int) -> int:
        """Samples in a batch in which `count` are not done; none once all are.

        Example:
            >>> [Leaving(8, buckets=True).size(count) for count in (0, 1, 64, 65, 300)], Leaving().size(65)
            ([0, 64, 64, 128, 512], 65)
        """
        if not self.buckets or not count:
            return count
        return SMALLEST << (-(-count // SMALLEST) - 1).bit_length()

    def rows(self, stays: Bool[Tensor, " A"]) -> Int[Tensor, " K"] | None:
        """The rows of a batch to go on with, in order; None for all. The device is waited for once.

        Args:
            stays: which samples are not done.
        """
        size = self.size(int(stays.sum()))
        if size >= len(stays):
            return None
        return stays.logical_not().argsort(stable=True)[:size].sort().values


class Departures:
    """The decisions of one attack.

    Args:
        leaving: the rule.
    """

    def __init__(self, leaving: Leaving) -> None:
        self.leaving, self.since = leaving, leaving.every

    def rows(self, stays: Bool[Tensor, " A"], iterations: int = 1) -> Int[Tensor, " K"] | None:
        """As `Leaving.rows`; None, too, where it is not yet time to decide.

        Args:
            stays: which samples are not done.
            iterations: until the next chance to decide.
        """
        due, self.since = self.since >= self.leaving.every, self.since + iterations
        if not due:
            return None
        self.since = iterations
        return self.leaving.rows(stays)

    def keep(
        self,
        active: Active,
        stays: Bool[Tensor, " A"],
        ends: Float[Tensor, "A *shape"],
        *state: Any,
        iterations: int = 1,
    ) -> tuple[Any, ...]:
        """Let samples leave as `Active.keep` does, if it is time, all but those that fill a bucket.

        Args:
            active: the samples of the batch.
            stays: which of them are not done.
            ends: where they are; for those that are done, where they end.
            state: what belongs to each: tensors, or all else that indices can index.
            iterations: until the next chance to decide.

        Returns:
            The state of those that stay.
        """
        rows = self.rows(stays, iterations)
        if rows is None:
            return state
        active.leave(rows, torch.where(column(stays, ends), active.ends[active.indices], ends))
        return tuple(part[rows] for part in state)

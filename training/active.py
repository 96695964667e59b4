"""Which samples of a batch are still attacked, and where those that left ended."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Active:
    """The active samples of a batch.

    Args:
        ends: where a sample ends that nothing better is written down for, `(B, *shape)`; copied.

    Attributes:
        ends: where every sample ended, as far as is known, `(B, *shape)`.
        indices: of the active samples in the batch, `(A,)`.
    """

    def __init__(self, ends: Float[Tensor, "B *shape"]) -> None:
        self.ends = ends.clone()
        self.indices = torch.arange(len(ends), device=ends.device)

    def __len__(self) -> int:
        """Number of active samples."""
        return len(self.indices)

    def keep(self, stays: Bool[Tensor, " A"], ends: Float[Tensor, "A *shape"], *state: Any) -> tuple[Any, ...]:
        """Let samples leave.

        Args:
            stays: which of the active samples remain.
            ends: where they are; written down for those that leave.
            state: what belongs to each active sample: tensors, or all else that a mask can index.

        Returns:
            The state of those that stay.
        """
        if stays.all():
            return state
        self.ends[self.indices[~stays]] = ends[~stays]
        self.indices = self.indices[stays]
        return tuple(part[stays] for part in state)

    def end(self, ends: Float[Tensor, "A *shape"]) -> Float[Tensor, "B *shape"]:
        """Write down where the active samples are, and return where all are."""
        self.ends[self.indices] = ends
        return self.ends

    def leave(self, rows: Int[Tensor, " K"], ends: Float[Tensor, "A *shape"]) -> None:
        """Let all but some rows of the active samples leave, and write down where all of them are.

        Args:
            rows: numbers of those that go on.
            ends: where the active samples are.
        """
        self.end(ends)
        self.indices = self.indices[rows]

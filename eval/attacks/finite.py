"""Gradients that are not finite: refused at once on a CPU, and on a GPU at the end, since to look makes it wait."""

import torch
from jaxtyping import Float
from torch import Tensor

from alignment.contracts import check_gradient


class FiniteGradients:
    """The gradients of one attack.

    Args:
        device: where they are.
        at_once: whether each is looked at as it comes; None for what pays on the device.
    """

    def __init__(self, device: torch.device, at_once: bool | None = None) -> None:
        self.at_once = device.type != "cuda" if at_once is None else at_once
        self.broken = torch.zeros((), dtype=torch.int64, device=device)

    def note(self, gradient: Float[Tensor, "..."]) -> None:
        """Look at a gradient, or count what is not finite for later.

        Raises:
            ValueError: if it is not finite and is looked at.
        """
        if self.at_once:
            check_gradient(gradient)
        else:
            self.broken += (~gradient.isfinite()).sum()

    def check(self) -> None:
        """Look at what was counted, and count anew.

        Raises:
            ValueError: if a gradient was not finite.
        """
        if self.at_once:
            return
        broken = int(self.broken)
        self.broken.zero_()
        if broken:
            raise ValueError(
                f"`gradient of classifier(x)` should be finite. Found {broken} NaN or infinite values in all."
            )

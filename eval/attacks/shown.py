"""The closest misclassified point of all that an attack showed to the classifier, whatever the attack returns."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from alignment.double import double_device
from eval.attacks.adapter import Boxed, UnitBox
from eval.attacks.verdict import distance
from training.attack_loss import attack_loss
from training.balls import Norm, column

BEYOND = 1e-3
"""FMN aims beyond the boundary by this part of a sample's first margin."""


class Shown(Boxed):
    """A classifier that remembers the closest misclassified point of every sample that it was shown."""

    def __init__(self, classifier: Callable[[Tensor], Any], box: UnitBox, x: Tensor, y: Tensor, norm: Norm) -> None:
        super().__init__(classifier, box, x)
        self.x, self.y, self.norm = x, y, norm
        self.closest = x.clone()
        self.reached = torch.full((len(x),), torch.inf, dtype=torch.float64, device=double_device(x.device))

    def forward(self, u: Tensor) -> Tensor:
        """Logits, after which the closest points are known."""
        logits = super().forward(u)
        point = self.box.leave(u.detach(), self.x)
        size = distance(point, self.x, self.norm)
        closer = (logits.argmax(dim=1) != self.y).to(size.device) & (size < self.reached)
        self.reached = torch.where(closer, size, self.reached)
        better = closer.to(point.device)
        self.closest = torch.where(column(better, point), point, self.closest)
        return logits


class ShownToFMN(Shown):
    """The same with the true logit a little higher, and without gradient where the bounds leave no room to follow."""

    lead: Tensor | None = None

    def forward(self, u: Tensor) -> Tensor:
        """Logits of a slightly harder problem."""
        if u.requires_grad:
            low, high = u.detach() <= 0, u.detach() >= 1
            u.register_hook(lambda gradient: gradient * ~(low & (gradient < 0) | high & (gradient > 0)))
        logits = super().forward(u)
        if self.lead is None:
            margin = -attack_loss(logits.detach(), self.y, "margin")
            self.lead = BEYOND * margin.unsqueeze(1) * F.one_hot(self.y, logits.shape[1])
        return logits + self.lead

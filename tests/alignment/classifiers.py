"""Classifiers that several tests of the package measure."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

SHAPES = [(6,), (2, 3), (1, 2, 3)]
BATCHES = [1, 3, 8]


def smooth(features: int, classes: int, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    """Nonlinear and infinitely differentiable."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(features, 16, dtype=dtype),
        nn.Tanh(),
        nn.Linear(16, classes, dtype=dtype),
    )


def restless(features: int, classes: int) -> nn.Sequential:
    """Batch norm, dropout and mixed modes: careless use leaves a trace."""
    module = nn.Sequential(
        nn.Flatten(),
        nn.Linear(features, 16),
        nn.BatchNorm1d(16),
        nn.Tanh(),
        nn.Dropout(),
        nn.Linear(16, 16),
        nn.BatchNorm1d(16),
        nn.Linear(16, classes),
    )
    module[6].eval()
    return module


def hand_made() -> tuple[nn.Linear, Tensor]:
    """Four linear classes in the plane, and the point (1, 0) with logits (5, 10, 4, 9).

    Radii from class 0: 5/√128 to class 1, 1/17 to class 2, 4/√481 to class 3. Radii from class 1, which wins:
    5/√128 to class 0, 6/7 to class 2, 1/25 to class 3. So c̃ = 2 for y = 0, and c* = 3. Differentiated:
    w₂ − w₀ = (−8, 15), w₃ − w₁ = (24, 7), w₀ = (3, 4), w₁ = (−5, 12).
    """
    classifier = nn.Linear(2, 4, dtype=torch.float64)
    classifier.weight = nn.Parameter(torch.tensor([[3, 4], [-5, 12], [-5, 19], [19, 19]], dtype=torch.float64))
    classifier.bias = nn.Parameter(torch.tensor([2, 15, 9, -10], dtype=torch.float64))
    return classifier, torch.tensor([[1, 0]], dtype=torch.float64)


class Answer(nn.Module):
    """A function as a classifier."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def one_logit(z: Tensor) -> Tensor:
    """A single output as two logits."""
    return torch.stack([-z / 2, z / 2], dim=1)


def perfect_on_spheres() -> nn.Module:
    """The radial classifier with threshold 1.15: paper 1, section 2.2."""
    return Answer(lambda x: one_logit(x.norm(dim=1) - 1.15))


class Detached(nn.Module):
    """Returns logits without a graph to the input; with one to the weights where they are trainable."""

    def __init__(self, network: nn.Module, *, trainable: bool) -> None:
        super().__init__()
        self.network = network.requires_grad_(trainable)

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x.detach())


class Counted(nn.Module):
    """Counts how often a network is run forwards, and backwards from its logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.forwards, self.backwards = network, 0, 0

    def forward(self, x: Tensor) -> Tensor:
        self.forwards += 1
        logits = self.network(x)
        if logits.requires_grad:
            logits.register_hook(self._count)
        return logits

    def _count(self, gradient: Tensor) -> None:
        self.backwards += 1


def on_spheres(size: int, dimensions: int = 30) -> tuple[Tensor, Tensor]:
    """Points of Spheres and their classes."""
    y = torch.arange(size) % 2
    x = torch.randn(size, dimensions, dtype=torch.float64)
    return x / x.norm(dim=1, keepdim=True) * (1 + 0.3 * y.double()).unsqueeze(1), y

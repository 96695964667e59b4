"""Classifiers whose robustness is known."""

import torch
from torch import Tensor, nn

from training.data import DataSet, Split


class Radial(nn.Module):
    """The most robust classifier of Spheres (paper 1, Eq. 2): logits ∓(‖x‖ − 1.15)."""

    def forward(self, x: Tensor) -> Tensor:
        score = x.flatten(1).norm(dim=1, keepdim=True) - 1.15
        return torch.cat([-score, score], dim=1)


class Half(nn.Module):
    """A linear classifier with slope w and two classes, `logit_1 − logit_0 = ⟨w, x⟩`."""

    def __init__(self, slope: Tensor) -> None:
        super().__init__()
        self.slope = nn.Parameter(slope)

    def forward(self, x: Tensor) -> Tensor:
        score = x.flatten(1) @ self.slope
        return torch.stack([-score / 2, score / 2], dim=1)


class InMemory(DataSet):
    """Given samples as every split of a data set."""

    name = "given"
    classes = ("zero", "one")
    bounds = (-1.0, 1.0)

    def __init__(self, x: Tensor, y: Tensor) -> None:
        super().__init__()
        self.x, self.y, self.shape = x, y, tuple(x.shape[1:])

    def make_split(self, name: str) -> Split:
        return Split(self.x, self.y, self.bounds)


def half_problem(count: int, features: int = 6) -> tuple[Half, Tensor, Tensor]:
    """A linear classifier, inputs well within [−1, 1], and labels of which about a fifth are wrong."""
    classifier = Half(torch.randn(features))
    x = 0.2 * torch.rand(count, features) - 0.1
    y = classifier(x).argmax(dim=1)
    return classifier, x, torch.where(torch.rand(count) < 0.2, 1 - y, y)


def known_radii(classifier: Half, x: Tensor, y: Tensor, norm: str) -> Tensor:
    """Distance to the decision boundary, 0 for what is wrong already."""
    score = (x.double() @ classifier.slope.double()).detach()
    slope = torch.linalg.vector_norm(classifier.slope.detach().double(), ord=1 if norm == "Linf" else 2)
    return torch.where((score > 0).long() == y, score.abs() / slope, 0)

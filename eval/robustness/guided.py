"""PGD against classifiers that may mask their gradients: through NaN gradients, and towards a known class."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.gradients import logits_of, pick
from training.attacks import pgd
from training.graphs import unrecorded
from training.passes import Wrapper


def guided_pgd(classifier: nn.Module, x: Tensor, y: Tensor, strength: Tensor, **options: Any) -> Tensor:
    """PGD that stays where the gradient is NaN, which `pgd` refuses; options as of `pgd`."""
    return pgd(FiniteGradient(classifier), x, y, strength, **options)


def aimed_pgd(
    classifier: nn.Module, x: Tensor, y: Tensor, strength: Tensor, *, found: Tensor, **options: Any
) -> Tensor:
    """PGD towards one class per sample (Gowal et al. 2019, https://arxiv.org/abs/1910.09338)."""
    with unrecorded():  # a classifier of this batch alone, which can be neither filled up nor used again
        return guided_pgd(_Towards(classifier, y, found), x, torch.zeros_like(y), strength, **options)


class FiniteGradient(Wrapper):
    """The same classifier, with 0 where its input gradient is NaN, and the largest number where it is infinite."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier
        self.training = classifier.training

    def forward(self, x: Float[Tensor, "B *shape"]) -> Float[Tensor, "B C"]:
        """Logits."""
        return logits_of(self.classifier, _Finite.apply(x))


class _Finite(torch.autograd.Function):
    """The identity, whose gradient is finite."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return gradient.nan_to_num()


class _Towards(nn.Module):
    """The true class of each sample of one batch against another class, as a classifier with two logits."""

    def __init__(self, classifier: nn.Module, y: Int[Tensor, " B"], found: Int[Tensor, " B"]) -> None:
        super().__init__()
        self.classifier, self.y, self.found = classifier, y, found
        self.training = classifier.training

    def forward(self, x: Float[Tensor, "B *shape"]) -> Float[Tensor, "B 2"]:
        logits = logits_of(self.classifier, x)
        return torch.stack([pick(logits, self.y), pick(logits, self.found)], dim=1)

"""Samples drawn at random, of each class its share."""

import torch
from jaxtyping import Int
from torch import Tensor

from training.seeds import generator_for


def drawn_by_class(labels: Int[Tensor, " N"], count: int, seed: int = 0) -> Int[Tensor, " K"]:
    """Numbers of samples, without repetition, in random order; the first few of them are drawn by class just as well.

    Each class has its share of the samples, up to rounding (systematic sampling with a random start per class).

    Args:
        labels: of all samples, in [0, C).
        count: how many to draw; all are returned where there are no more.
        seed: of the draw.

    Example:
        >>> labels = torch.tensor([0] * 6 + [1] * 3)
        >>> labels[drawn_by_class(labels, 6)].bincount()
        tensor([4, 2])
    """
    generator = generator_for(seed, "drawn by class")
    order = torch.randperm(len(labels), generator=generator)
    of_class = labels[order]
    sizes = of_class.bincount()
    by_class = of_class.argsort(stable=True)
    place = torch.empty_like(order)  # among the samples of the same class
    place[by_class] = torch.arange(len(order)) - (sizes.cumsum(0) - sizes)[of_class[by_class]]
    start = torch.rand(len(sizes), generator=generator, dtype=torch.float64)
    turn = (place + start[of_class]) / sizes[of_class]
    return order[turn.argsort(stable=True)[:count]]

"""A combiner of your own: one gradient of one per loss. This one is the bisector of all directions."""

import torch
from torch import Tensor

from training.combiners import Gradients
from training.conflict import Conflict


class Bisector:
    """The mean of the gradients' directions, times the mean of their lengths, over the whole parameter vector."""

    def __call__(self, gradients: Gradients, measured: Conflict | None = None) -> list[Tensor]:
        """One tensor per parameter, of the shapes of the first gradient, which is left unchanged."""
        lengths = torch.stack([torch.nn.utils.get_total_norm(parts) for parts in gradients.values()])
        weights = lengths.mean() / len(lengths) / lengths.clamp_min(1e-12)
        weighted = [torch._foreach_mul(parts, float(w)) for parts, w in zip(gradients.values(), weights, strict=True)]
        return [torch.stack(parts).sum(dim=0) for parts in zip(*weighted, strict=True)]

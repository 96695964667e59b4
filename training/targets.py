"""The wrong class that a targeted attack goes to."""

from typing import Any, Literal

import torch
from jaxtyping import Int
from torch import Tensor, nn

from alignment.gradients import evaluating, logits_of
from generators.global_batch import drawn

Target = Literal["random", "least_likely"]
"""One wrong class drawn for each sample, or the one with the smallest logit (Kurakin et al. 2017)."""


def targets_of(
    classifier: nn.Module, x: Tensor, y: Int[Tensor, " B"], kind: Target, generator: torch.Generator
) -> Int[Tensor, " B"]:
    """A wrong class for each sample.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`; used in evaluation mode and left as found.
        x: inputs, `(B, *shape)`.
        y: true classes, `(B,)`.
        kind: "random", uniformly among the wrong classes; or "least_likely", the wrong class with the smallest logit.
        generator: of the draw.
    """
    if not len(x):
        return y.clone()
    with evaluating(classifier), torch.no_grad():
        logits = logits_of(classifier, x if kind == "least_likely" else x[:1])
    if kind == "least_likely":
        return logits.scatter(1, y.unsqueeze(1), torch.inf).argmin(dim=1)
    options: Any = {"generator": generator, "device": generator.device}
    step = drawn(len(y), generator, lambda count: torch.randint(1, logits.shape[1], (count,), **options))
    return (y + step.to(y.device)) % logits.shape[1]

"""An attack of your own: a function that proposes inputs. It is believed in nothing, so it need not check itself."""

from typing import Any

import torch
from torch import Tensor, nn


def random_signs(
    classifier: nn.Module,
    x: Tensor,
    y: Tensor,
    strength: Tensor,
    *,
    norm: Any = "Linf",
    bounds: tuple[float, float],
    generator: torch.Generator | None = None,
    tries: int = 20,
) -> Tensor:
    """The first of several random corners of the ball that is misclassified.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        x: inputs, `(B, *shape)`.
        y: true classes, `(B,)`.
        strength: radius of the ball, one per sample, `(B,)`.
        norm: of the ball; corners are those of L∞.
        bounds: lowest and highest legal value of an input.
        generator: source of all randomness, so that a seed repeats the attack.
        tries: corners per sample; an option of yours, which stands in the records.
    """
    if norm != "Linf":
        raise ValueError(f"`norm` should be Linf, whose ball has corners. Found {norm!r}.")
    radius = strength.reshape(-1, *[1] * (x.ndim - 1))
    best, fooled = x.clone(), torch.zeros_like(y, dtype=torch.bool)
    for _ in range(tries):
        signs = torch.randint(0, 2, x.shape, generator=generator, device=x.device) * 2 - 1
        proposed = (x + radius * signs).clamp(*bounds)
        wrong = (classifier(proposed).argmax(dim=1) != y) & ~fooled
        best[wrong] = proposed[wrong]
        fooled |= wrong
    return best

"""An objective of your own: named losses of a batch. This one adds a loss at inputs with noise."""

from collections.abc import Callable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Noisy:
    """Cross-entropy at x, and at x with Gaussian noise, as two losses: a combiner may make one gradient of theirs.

    Args:
        sigma: standard deviation of the noise, in the data's own units.

    Raises:
        ValueError: if it is negative.
    """

    names: ClassVar[tuple[str, ...]] = ("clean", "adversarial")

    def __init__(self, sigma: float = 0.2) -> None:
        if sigma < 0:
            raise ValueError(f"`sigma` should be at least 0. Found {sigma}.")
        self.sigma = sigma

    def __call__(
        self,
        classifier: nn.Module,
        x: Tensor,
        y: Tensor,
        clean_logits: Callable[[], Tensor],
        *,
        bounds: tuple[float, float],
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """`{"clean": CE(x, y), "adversarial": CE(x + noise, y)}`, each with a graph to the parameters."""
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        noisy = (x + self.sigma * noise).clamp(*bounds)
        return {
            "clean": F.cross_entropy(clean_logits(), y),
            "adversarial": F.cross_entropy(classifier(noisy), y),
        }

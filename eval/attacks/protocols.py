"""What an attack is: a function that proposes inputs, and is believed in nothing."""

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn


@runtime_checkable
class Attack(Protocol):
    """An attack with a budget, such as `training.pgd`; its own options are bound to it with `functools.partial`."""

    def __call__(
        self,
        classifier: nn.Module,
        x: Tensor,
        y: Tensor,
        strength: Tensor,
        /,
        *,
        norm: Any,
        bounds: tuple[float, float],
        generator: torch.Generator | None,
    ) -> Tensor:
        """Perturbed inputs, `(B, *shape)`.

        Args:
            classifier: from `(B, *shape)` to logits `(B, C)`.
            x: inputs within the bounds, `(B, *shape)`.
            y: true classes, `(B,)` int64.
            strength: radius of the ball, or what stands for it, one number per sample, `(B,)`.
            norm: of the ball; None where strength is no radius.
            bounds: lowest and highest legal value of an input.
            generator: source of all randomness; None for a fresh one.
        """
        ...


@runtime_checkable
class MinimumNormAttack(Protocol):
    """An attack that looks for the nearest adversarial example itself, such as `eval.attacks.minimum_norm.fmn`."""

    def __call__(
        self,
        classifier: nn.Module,
        x: Tensor,
        y: Tensor,
        /,
        *,
        norm: Any,
        bounds: tuple[float, float],
        generator: torch.Generator | None,
    ) -> Tensor:
        """Perturbed inputs, `(B, *shape)`, as near to x as the attack can come; see `Attack` for the arguments."""
        ...

"""What every public function asks of its arguments, checked in one voice.

An error names the argument, says what was found and what was expected.
"""

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor


def check_finite(value: Shaped[Tensor, "..."], name: str) -> None:
    """Refuse NaN and infinities, which would spread silently through every mean."""
    if not torch.isfinite(value).all():
        bad = int((~torch.isfinite(value)).sum())
        raise ValueError(f"`{name}` should be finite. Found {bad} NaN or infinite of {value.numel()} values.")


def check_labels(labels: Int[Tensor, "..."], size: int, classes: int, name: str = "y") -> None:
    """Refuse labels that are not one per sample or lie outside [0, classes)."""
    if labels.shape != (size,):
        raise ValueError(f"`{name}` should have shape ({size},). Found {tuple(labels.shape)}.")
    if size and (int(labels.min()) < 0 or int(labels.max()) >= classes):
        raise ValueError(
            f"`{name}` should lie in [0, {classes}). Found values from {int(labels.min())} to {int(labels.max())}."
        )


def check_same_shape(value: Float[Tensor, "..."], reference: Float[Tensor, "..."], name: str, like: str) -> None:
    """Refuse a tensor whose shape differs from the one it belongs to."""
    if value.shape != reference.shape:
        raise ValueError(
            f"`{name}` should have the shape of `{like}`, {tuple(reference.shape)}. Found {tuple(value.shape)}."
        )


def check_choice(value: str | None, choices: tuple[str | None, ...], name: str) -> None:
    """Refuse a word that is not among the choices."""
    if value not in choices:
        raise ValueError(f"`{name}` should be one of {', '.join(map(str, choices))}. Found {value!r}.")

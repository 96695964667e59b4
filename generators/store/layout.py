"""What the writer and the reader of a store agree on."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Float16, Float32, Float64
from torch import Tensor

from alignment.double import exactly

FORMAT = 1
IDENTITY = ("data", "split", "samples", "digest", "classes", "estimator", "settings", "weights", "format")
"""What a store says of its residuals, see `ResidualStore.identity`."""


def fingerprint(x: Float[Tensor, "B *shape"]) -> tuple[Float64[Tensor, " B"], Float64[Tensor, " B"]]:
    """Σ_j cos(j²)·x_j of each image in float64, j from 0, and by how much the last bits of x may move it."""
    flat = exactly(x.detach().flatten(1))
    return flat @ _direction(flat.shape[1], flat.device), 2**-21 * flat.abs().sum(dim=1)


@cache
def _direction(size: int, device: torch.device) -> Tensor:
    return torch.arange(size, dtype=torch.float64).square().cos().to(device)


def encoded(residual: Float32[Tensor, "B *shape"]) -> tuple[Float16[Tensor, "B *shape"], Float32[Tensor, " B"]]:
    """Values of which each residual's largest lies in [1, 2], and the powers of two that they are in units of.

    The largest entries keep 11 bits, whatever their size, and smaller ones at least as much of the largest.
    """
    largest = residual.flatten(1).abs().amax(dim=1)
    exponent = (torch.frexp(largest).exponent - 1).clamp(min=-126)
    scale = torch.ldexp(torch.ones_like(largest), exponent)
    return (residual / _columns(scale, residual)).half(), scale


def decoded(values: Float16[Tensor, "B *shape"], scale: Float32[Tensor, " B"]) -> Float32[Tensor, "B *shape"]:
    """The residuals again."""
    return values.float() * _columns(scale, values)


def _columns(scale: Tensor, like: Tensor) -> Tensor:
    return scale.reshape(-1, *[1] * (like.ndim - 1))


def check_complete(path: Path, found: Mapping[str, Any]) -> None:
    """Refuse a store that does not say what it holds.

    Raises:
        ValueError: if it leaves anything out, or its classes are no classes.
    """
    missing = [key for key in IDENTITY if key not in found]
    if missing:
        raise ValueError(f"{path} cannot be read as a store of residuals: it does not say its {', '.join(missing)}.")
    classes = found["classes"]
    if not (isinstance(classes, list) and classes and all(isinstance(c, int) for c in classes)):
        raise ValueError(f"{path} cannot be read as a store of residuals: its classes are {classes!r}.")


def check_identity(path: Path, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Refuse residuals of something else, naming all that differs.

    Raises:
        ValueError: if anything expected was found otherwise.
    """
    differing = [
        f"`{key}` is {found.get(key)!r} where {value!r} is expected"
        for key, value in expected.items()
        if found.get(key) != value
    ]
    if differing:
        raise ValueError(f"{path} holds residuals of something else: {'; '.join(differing)}.")

"""Generators by name, for configurations and checkpoints."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from generators.networks.conditional import ConditionalGenerator
from generators.networks.denoising import DenoisingNetwork
from generators.networks.film import FilmUNet
from generators.networks.residual_mlp import ResidualMLP
from generators.networks.unet import UNet

GENERATORS: Mapping[str, Callable[..., nn.Module]] = {
    "conditional": ConditionalGenerator,
    "denoising": DenoisingNetwork,
    "film": FilmUNet,
    "mlp": ResidualMLP,
    "unet": UNet,
}


def build_generator(
    name: str, *, shape: Sequence[int], num_classes: int, bounds: tuple[float, float] = (-1.0, 1.0), **options: Any
) -> nn.Module:
    """A generator by name.

    Args:
        name: one of `GENERATORS`: "unet", "film" and "mlp" draw `(x, y, target) → Δ̂x`, "conditional" draws
            `(z, class) → image`, "denoising" `(noisy x, class) → x`.
        shape: of one image.
        num_classes: C ≥ 2.
        bounds: lowest and highest legal value of an image.
        options: what the network itself takes.

    Raises:
        ValueError: for an unknown name, or options the network does not take.
    """
    if name not in GENERATORS:
        raise ValueError(f"`network` should be one of {', '.join(GENERATORS)}. Found {name!r}.")
    try:
        return GENERATORS[name](shape=tuple(shape), num_classes=num_classes, bounds=bounds, **options)
    except TypeError as error:
        raise ValueError(f"The generator {name!r} does not take these options: {error}.") from error
    except RuntimeError as error:  # sizes that torch cannot make, or not hold
        raise ValueError(f"The generator {name!r} cannot be built with {options}: {error}.") from error

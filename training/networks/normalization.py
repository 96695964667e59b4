"""Normalisation of inputs: the one that a network was trained with, and a network behind it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
NONE = "none"
"""Inputs go to the network as they are."""


@dataclass(frozen=True)
class Normalization:
    """(u − mean) / std for inputs u in [0, 1], one value per channel, or one for all channels.

    Args:
        mean: of each channel.
        std: standard deviation of each channel, above 0.

    Raises:
        ValueError: if they differ in number, are not finite, or a deviation is not above 0.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not self.mean:
            raise ValueError(
                f"`mean` and `std` should have one value per channel each. Found {self.mean} and {self.std}."
            )
        if not all(map(math.isfinite, (*self.mean, *self.std))) or min(self.std) <= 0:
            raise ValueError(f"`mean` should be finite and `std` above 0. Found {self.mean} and {self.std}.")

    def __str__(self) -> str:
        """Its name where it has one, else its numbers."""
        named = [name for name, known in NORMALIZATIONS.items() if known == self]
        return named[0] if named else f"mean {list(self.mean)}, std {list(self.std)}"


NORMALIZATIONS: Mapping[str, Normalization] = {
    "imagenet": Normalization(IMAGENET_MEAN, IMAGENET_DEVIATION),
    "cifar10": Normalization((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "mnist": Normalization((0.1307,), (0.3081,)),
    "half": Normalization((0.5,), (0.5,)),
}
"""The usual ones, by name."""


def normalization_of(given: Any, name: str = "normalize") -> Normalization | None:
    """A normalisation as a user writes it; None for "none".

    Args:
        given: "none", one of `NORMALIZATIONS`, "mean,std" with numbers such as "0.5,0.5", or
            "0.49,0.48,0.45,0.25,0.24,0.26" (means first); a pair (mean, std) of numbers or of sequences of them; a
            mapping with `mean` and `std`; or a `Normalization`.
        name: of the argument, for messages.

    Raises:
        ValueError: for anything else, such as means and deviations of inputs in [0, 255].

    Example:
        >>> normalization_of("0.5,0.25")
        Normalization(mean=(0.5,), std=(0.25,))
    """
    if isinstance(given, Normalization) or given == NONE:
        return given if isinstance(given, Normalization) else None
    if isinstance(given, str) and given in NORMALIZATIONS:
        return NORMALIZATIONS[given]
    try:
        mean, std = _pair(given)
        if max(*mean, *std) > 1:
            raise ValueError("divide them by 255, if that is the scale they are of")
        return Normalization(tuple(mean), tuple(std))
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(
            f"`{name}` should be {NONE}, {', '.join(NORMALIZATIONS)}, or mean and std for inputs in [0, 1], such as "
            f"0.5,0.25. Found {given!r} ({error})."
        ) from error


def _pair(given: Any) -> tuple[Sequence[float], Sequence[float]]:
    """Means and deviations of any form."""
    if isinstance(given, str):
        numbers = [float(part) for part in given.strip("[]()").split(",")]
        half, odd = divmod(len(numbers), 2)
        if odd:
            raise ValueError("as many means as deviations")
        return numbers[:half], numbers[half:]
    mean, std = (given["mean"], given["std"]) if isinstance(given, Mapping) else given
    both = [[float(part)] if isinstance(part, int | float) else [*map(float, part)] for part in (mean, std)]
    return both[0], both[1]


class Normalized(nn.Module):
    """A network behind the normalisation that it was trained with, from the data's own range to logits.

    Args:
        network: from normalised inputs to logits.
        normalization: of inputs in [0, 1], in any form that `normalization_of` takes; "none" leaves inputs as they
            are.
        bounds: of the data, which are mapped to [0, 1] first. They must be given: nobody can guess them.

    Raises:
        ValueError: for another form, or bounds that are not two finite numbers, the lower one first.

    Example:
        >>> model = Normalized(torch.nn.Identity(), "0.5,0.5", bounds=(0.0, 1.0))
        >>> model(torch.tensor([[0.0, 0.5, 1.0]]))
        tensor([[-1.,  0.,  1.]])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, normalization: Any, *, bounds: tuple[float, float]) -> None:
        super().__init__()
        low, high = bounds
        if not -math.inf < low < high < math.inf:
            raise ValueError(f"`bounds` should be two finite numbers, the lower one first. Found {bounds}.")
        self.network, self.normalization = network, normalization_of(normalization, "normalization")
        self.low, self.width = low, high - low
        found = self.normalization or Normalization((0.0,), (1.0,))
        self.register_buffer("mean", torch.tensor(found.mean), persistent=False)
        self.register_buffer("std", torch.tensor(found.std), persistent=False)

    def forward(self, x: Float[Tensor, "B *shape"]) -> Any:
        """What the network returns for the normalised inputs.

        Raises:
            ValueError: if the inputs have neither one channel per mean, nor is there one mean for all.
        """
        if self.normalization is None:
            return self.network(x)
        channels = len(self.mean)
        if channels > 1 and (x.ndim < 2 or x.shape[1] != channels):
            raise ValueError(
                f"`x` should have {channels} channels, one per mean of the normalisation. Found {tuple(x.shape)}."
            )
        form = (-1, *[1] * (x.ndim - 2))
        return self.network(((x - self.low) / self.width - self.mean.reshape(form)) / self.std.reshape(form))

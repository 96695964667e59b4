"""The normalisation of inputs that lies in a file beside the weights of the network it stands before."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from training.networks.normalization import Normalization

AS_THEY_ARE = Normalization((0.0,), (1.0,))
"""Of a network that takes inputs in [0, 1]; for data of another range, it maps them there."""
DEVIATIONS: Mapping[str, tuple[str, ...]] = {
    "mean": ("std", "stdev", "deviation"),
    "means": ("stds", "sds"),
    "mu": ("sigma", "std"),
    "new_mean": ("new_std",),
    "_mean": ("_std",),
    "image_mean": ("image_std",),
    "pixel_mean": ("pixel_std",),
    "norm_mean": ("norm_std",),
    "input_mean": ("input_std",),
}
"""How public programs call the two buffers of a normaliser: the mean, and the deviation beside it."""
LARGEST_MEAN = 1.0
"""Of inputs in [0, 1]."""
BYTES = 255
"""The largest input of those who do not scale theirs."""


@dataclass(frozen=True)
class Found:
    """A normaliser in a file.

    Attributes:
        normalization: for inputs in [0, 1].
        names: of its two buffers.
        scaled: whether they were for inputs in [0, 255].
    """

    normalization: Normalization
    names: tuple[str, str]
    scaled: bool

    def __str__(self) -> str:
        scale = f"[0, {BYTES}], and divided by {BYTES}" if self.scaled else "[0, 1]"
        return (
            f"The file holds {' and '.join(self.names)}, {self.normalization}: taken as the normalisation of inputs "
            f"in {scale}."
        )


def pairs(names: Iterable[str]) -> list[tuple[str, str]]:
    """Names that are called as the mean and the deviation of one normaliser.

    Example:
        >>> pairs(["normalize.mean", "normalize.std", "mean", "fc.bias"])
        [('normalize.mean', 'normalize.std')]
    """
    known = sorted(names)
    return [
        (name, other)
        for name in known
        for deviation in DEVIATIONS.get(name.split(".")[-1], ())
        if (other := name[: len(name) - len(name.split(".")[-1])] + deviation) in known
    ]


def normalizers(weights: Mapping[str, Tensor]) -> list[Found]:
    """All normalisers among the weights; what is called like one and cannot be one of images is left out."""
    found = (_found(weights, names) for names in pairs(weights))
    return [one for one in found if one is not None]


def of_network(network: nn.Module, channels: int) -> Found | None:
    """The normaliser that a network has itself, beside its layers or before them; None where none is seen.

    Args:
        network: with its weights.
        channels: of its inputs.
    """
    buffers = {name: value for name, value in network.named_buffers() if name.count(".") <= 1}
    found = [one for one in normalizers(buffers) if len(one.normalization.mean) in (1, channels) and not one.scaled]
    return found[0] if found else None


def _found(weights: Mapping[str, Tensor], names: tuple[str, str]) -> Found | None:
    means, deviations = (_values(weights[name]) for name in names)
    if not means or len(means) != len(deviations) or not all(map(math.isfinite, means + deviations)):
        return None
    scaled = 2 * LARGEST_MEAN < max(means) <= BYTES
    if min(deviations) <= 0 or min(means) < 0 or (max(means) > LARGEST_MEAN and not scaled):
        return None
    divisor = BYTES if scaled else 1
    mean, std = (tuple(value / divisor for value in values) for values in (means, deviations))
    return Found(Normalization(mean, std), names, scaled)


def _values(buffer: Tensor) -> list[float]:
    """One per channel, of any form such as (C,), (C, 1, 1) or (1, C, 1, 1), in the shortest decimals of each."""
    if buffer.is_meta or buffer.is_complex() or max(buffer.shape, default=1) != buffer.numel():
        return []
    return [float(str(value)) for value in buffer.detach().flatten().float().numpy()]

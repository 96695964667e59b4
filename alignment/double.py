"""float64 on every device: where a device has none, as Apple's MPS, it lies on the CPU."""

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

WITHOUT = ("mps",)
"""Types of devices without float64."""


def has_double(device: torch.device) -> bool:
    """Whether a device can hold and compute float64."""
    return device.type not in WITHOUT


def double_device(device: torch.device) -> torch.device:
    """Where float64 that belongs to a device lies: there, or on the CPU where the device has none."""
    return device if has_double(device) else torch.device("cpu")


def exactly(tensor: Shaped[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
    """The values in float64, on the tensor's device or, where that has no float64, on the CPU.

    Example:
        >>> exactly(torch.tensor([0.5]))
        tensor([0.5000], dtype=torch.float64)
    """
    # First moved and then converted: the device cannot convert what it cannot hold.
    return tensor.to(double_device(tensor.device)).double()

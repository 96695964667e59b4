"""Images of Pillow as tensors, and tensors of any layout as inputs."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import center_crop, resize

DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I")
"""Modes of Pillow in which grey images of 16 bit come."""
CHANNELS = (1, 3, 4)
"""How many channels an image has: grey, colour, colour with transparency."""


def pixels_of(image: Image.Image) -> Shaped[Tensor, "channels height width"]:
    """An image as it is: uint8, or uint16 where it has 16 bit; grey or colour, without transparency.

    Raises:
        ValueError: for floating-point pixels, or whole numbers above 16 bit, whose largest value nobody says.
    """
    if image.mode in DEEP:
        grey = np.asarray(image)
        if grey.min(initial=0) < 0 or grey.max(initial=0) > 65535:
            raise ValueError(f"pixels should lie in [0, 65535]. Found values from {grey.min()} to {grey.max()}.")
        return torch.from_numpy(grey.astype(np.uint16))[None]
    if image.mode == "F":
        raise ValueError("pixels should be whole numbers. Found floating point. Give arrays, with their `bounds`.")
    grey_too = image.mode in ("1", "L", "LA", "La")
    array = np.array(image.convert("L" if grey_too else "RGB"))
    return torch.from_numpy(array)[None] if grey_too else torch.from_numpy(array).permute(2, 0, 1)


def values_of(value: Any) -> Shaped[Tensor, "*shape"]:
    """An input of any kind as a tensor: bytes and 16 bit stay, other whole numbers and all others become float32.

    Args:
        value: an image of Pillow, a tensor, an array, or numbers.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(value, Image.Image):
        return pixels_of(value)
    try:
        tensor = torch.as_tensor(value if isinstance(value, Tensor) else np.asarray(value))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"an input should be an image, a tensor or an array. Found {type(value).__name__} ({error})."
        ) from error
    if tensor.is_complex():
        raise ValueError("an input should hold real numbers. Found complex ones.")
    return tensor.detach().cpu() if tensor.dtype in (torch.uint8, torch.uint16) else tensor.detach().cpu().float()


def channels_last(shape: tuple[int, ...]) -> bool:
    """Whether an input looks like height × width × channels.

    Example:
        >>> channels_last((32, 32, 3)), channels_last((3, 32, 32)), channels_last((3, 32, 3))
        (True, False, False)
    """
    return len(shape) == 3 and shape[2] in CHANNELS and shape[0] not in CHANNELS


def with_channels(pixels: Shaped[Tensor, "found height width"], wanted: int) -> Shaped[Tensor, "wanted height width"]:
    """An image with so many channels: grey becomes colour as it is, colour becomes grey by Rec. 601's weights.

    Raises:
        ValueError: if it has other channels than one or three.
    """
    found = pixels.shape[0]
    if found == wanted:
        return pixels
    if {found, wanted} != {1, 3}:
        raise ValueError(f"images should have {wanted} channels. Found {found}.")
    if wanted == 3:
        return pixels.expand(3, -1, -1)
    weights = torch.tensor([0.299, 0.587, 0.114]).reshape(3, 1, 1)
    return (pixels.float() * weights).sum(0, keepdim=True).round().to(pixels.dtype)


def fitted(
    pixels: Shaped[Tensor, "channels height width"], size: int, shorter: int
) -> Shaped[Tensor, "channels size size"]:
    """An image whose shorter side is resized, and whose middle is kept.

    Args:
        pixels: uint8 or floating point; uint16 is resized as floating point and rounded.
        size: height and width of what is kept.
        shorter: length of the shorter side before.
    """
    deep = pixels.dtype == torch.uint16
    resized = resize(pixels.float() if deep else pixels, [shorter], antialias=True)
    kept = center_crop(resized, [size, size])
    return kept.round().clamp(0, 65535).to(torch.uint16) if deep else kept

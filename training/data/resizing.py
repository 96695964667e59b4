"""Images of a data set at another size: padded, or interpolated."""

from typing import Literal, get_args

import torch.nn.functional as F
from jaxtyping import Shaped
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from alignment.contracts import check_choice

Resizing = Literal["bilinear", "pad"]


def check_resizing(size: int, resizing: Resizing, side: int) -> None:
    """Refuse a size to which images cannot be brought in this way.

    Args:
        size: height and width wanted.
        resizing: "bilinear" or "pad".
        side: height and width of the images as they are.

    Raises:
        ValueError: for an unknown way, a size below 1, or one below `side` where images are padded.
    """
    check_choice(resizing, get_args(Resizing), "resizing")
    least = side if resizing == "pad" else 1
    if size < least:
        raise ValueError(f"`size` should be at least {least} with resizing={resizing!r}. Found {size}.")


def resized(images: Shaped[Tensor, "N C H W"], size: int, resizing: Resizing) -> Shaped[Tensor, "N C size size"]:
    """Square images at another size, of the same type; as they are where they have it already.

    Args:
        images: bytes, or floating point.
        size: height and width wanted.
        resizing: "bilinear", with antialiasing; or "pad" with zeros, the darkest byte, as evenly as can be.

    Example:
        >>> import torch
        >>> resized(torch.ones(1, 1, 2, 2), 4, "pad").sum(), resized(torch.ones(1, 1, 2, 2), 4, "bilinear").sum()
        (tensor(4.), tensor(16.))
    """
    missing = size - images.shape[-1]
    if not missing:
        return images
    if resizing == "pad":
        before, after = missing // 2, missing - missing // 2
        return F.pad(images, (before, after, before, after))
    return resize(images, [size, size], antialias=True)

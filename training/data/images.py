"""Image files of any kind that PIL reads, as inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from jaxtyping import Shaped
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import center_crop, pil_to_tensor, resize

from training.data.checks import check_bounds, check_values
from training.data.raw import check_levels, depth_notes, from_levels
from training.data.split import Bounds, LazySplit, from_bytes
from training.data.unread import unread

Channels = Literal[1, 3, "auto"]
Interpolation = Literal["bilinear", "bicubic", "nearest"]

Files = list[tuple[str, int]]
"""Image files and their classes."""

DEEP = 65535
"""Largest value of 16 bits."""
GREY = ("1", "L", "LA", "La", "I", "F")
LOOKED_AT = 16
"""Files that are looked at before any is asked for."""


@dataclass(frozen=True)
class Preparation:
    """How an image file becomes an input.

    Args:
        size: height and width; the middle is kept.
        resize: length of the shorter side before that.
        interpolation: of resizing, with antialiasing.
        channels: 1 or 3.
        levels: largest possible value of images of more than 8 bits.
        bounds: lowest and highest legal value of an input.
        upright: turn images as their EXIF orientation says.

    Raises:
        ValueError: if the size is below 1 or above that to which sides are resized, or the bounds are infinite.
    """

    size: int
    resize: int
    interpolation: Interpolation
    channels: int
    levels: int | None
    bounds: Bounds
    upright: bool = False

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"`size` should be at least 1 pixel. Found {self.size}.")
        if self.resize < self.size:
            raise ValueError(f"`resize` should be at least `size`, {self.size}. Found {self.resize}.")
        if self.levels is not None and self.levels < 1:
            raise ValueError(f"`levels` should be at least 1. Found {self.levels}.")
        check_bounds(self.bounds, whole_numbers="`bounds`")

    def __call__(self, path: str) -> Shaped[Tensor, "channels size size"]:
        """An input: uint8 of 8 bits, else float32 within the bounds.

        Raises:
            ValueError: naming the file if it cannot be read, or a value cannot be right.
        """
        try:
            image = _decoded(path, self.channels, self.upright)
        except Exception as error:  # a broken file can make the reader fail in any way
            raise ValueError(unread(path, "an image", error, "Copy the file again, or remove it.")) from error
        whole_numbers = not image.dtype.is_floating_point
        if image.dtype != torch.uint8 and whole_numbers:
            check_levels(image.numpy(), self.levels or DEEP, path)
            image = image.float()
        image = self._cropped(image)
        if image.dtype == torch.uint8:
            return image
        if whole_numbers:
            levels = self.levels or DEEP  # bicubic interpolation oversteps
            return from_levels(image.clamp(0, levels), levels, self.bounds)
        check_values(image, self.bounds, path)
        return image

    def _cropped(self, image: Tensor) -> Tensor:
        mode = InterpolationMode(self.interpolation)
        antialias = mode != InterpolationMode.NEAREST
        return center_crop(resize(image, [self.resize], mode, antialias=antialias), [self.size, self.size])


class FileSplit(LazySplit):
    """Images that are read from their files when they are asked for.

    Args:
        files: with their classes.
        prepare: what makes inputs of them.
    """

    def __init__(self, files: Files, prepare: Preparation) -> None:
        super().__init__(torch.tensor([label for _, label in files], dtype=torch.int64), prepare.bounds)
        self.paths, self.prepare = [path for path, _ in files], prepare

    def read(self, indices: Sequence[int]) -> Shaped[Tensor, "B channels size size"]:
        """Images, resized and cropped; bytes where all have 8 bits."""
        images = [self.prepare(self.paths[i]) for i in indices]
        if any(image.dtype != torch.uint8 for image in images):
            images = [from_bytes(i, self.bounds) if i.dtype == torch.uint8 else i for i in images]
        return torch.stack(images)


def _decoded(path: str, channels: int, upright: bool) -> Shaped[Tensor, "channels height width"]:
    """Pixels as uint8; as int32 where they have more bits; as float32 where they are floating point.

    Colours become grey, and grey colours, as torchvision's loader makes them; an alpha channel is left out, as there.
    Of colours in 16 bits PIL keeps the upper 8.
    """
    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file) if upright else file
        if image.mode == "F":
            return _repeated(torch.from_numpy(np.array(image, np.float32)), channels)
        if image.mode.startswith("I"):
            return _repeated(torch.from_numpy(np.array(image).astype(np.int32)), channels)
        return pil_to_tensor(image.convert("L" if channels == 1 else "RGB"))


def _repeated(grey: Tensor, channels: int) -> Tensor:
    return grey.expand(channels, *grey.shape).contiguous()


T = TypeVar("T")


def evenly(values: Sequence[T], count: int = LOOKED_AT) -> Sequence[T]:
    """At most so many of some values, from all over them."""
    return values[:: max(1, -(-len(values) // count))]


def looked_at(paths: Sequence[str], levels: int | None) -> tuple[int, tuple[str, ...]]:
    """Channels that some of the files have, 1 if all are grey, and sentences on what they hold.

    Args:
        paths: of image files.
        levels: largest possible value of more than 8 bits, if somebody said it.
    """
    chosen = evenly(paths)
    grey, alpha, turned, cut, highest = True, False, False, False, -1
    for path in chosen:
        try:
            with Image.open(path) as image:
                mode, stored = image.mode, [str(tile[3]) for tile in image.tile]  # gone once pixels are read
                orientation = image.getexif().get(0x0112, 1)
                alpha |= image.has_transparency_data
                cut |= not mode.startswith("I") and any("16" in bits for bits in stored)
                if mode.startswith("I"):
                    highest = max(highest, int(np.array(image).max()))
        except Exception:  # it is named when it is asked for
            continue
        grey &= mode in GREY or mode.startswith("I;16")
        turned |= orientation not in (0, 1)
    notes = depth_notes(np.dtype(np.uint16), highest, _folder(chosen)) if highest >= 0 and levels is None else ()
    if alpha:
        notes += (f"{_folder(chosen)}: images have an alpha channel, which is left out, as torchvision does.",)
    if cut:
        notes += (f"{_folder(chosen)}: images have colours in 16 bits, of which the upper 8 are read.",)
    if turned:
        notes += (
            f"{_folder(chosen)}: images have an EXIF orientation, which torchvision passes over; `upright` decides.",
        )
    return (1 if grey and chosen else 3), notes


def _folder(paths: Sequence[str]) -> str:
    return str(Path(paths[0]).parent)

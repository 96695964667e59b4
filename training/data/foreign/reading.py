"""How an item of somebody's data set becomes an input and a label."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Shaped
from PIL import Image
from torch import Tensor

from training.data.foreign.pixels import channels_last, fitted, values_of, with_channels

T = TypeVar("T")

INPUTS = ("image", "img", "pixel_values", "images", "input", "inputs", "x", "data", "features")
LABELS = ("label", "labels", "target", "targets", "y", "class")
"""Names under which items hold their input and their label."""


@dataclass(frozen=True)
class Reading:
    """What is read of an item, and how.

    Args:
        image: name under which an item holds its input; one of `INPUTS` if not given.
        label: name under which it holds its label; one of `LABELS` if not given.
        size: height and width to which images are brought; None leaves them as they are.
        resize: length of an image's shorter side before its middle is kept; `size` if not given.
        channels: 1 or 3; None leaves images as they are.
        turn: whether inputs come as height × width × channels.

    Raises:
        ValueError: if `size` is below 1, `resize` is below `size` or stands alone, or `channels` is neither 1 nor 3.
    """

    image: str | None = None
    label: str | None = None
    size: int | None = None
    resize: int | None = None
    channels: int | None = None
    turn: bool = False

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise ValueError(f"`size` should be at least 1 pixel. Found {self.size}.")
        if self.resize is not None and (self.size is None or self.resize < self.size):
            raise ValueError(
                f"`resize` should be at least `size`, the middle that is kept. Found {self.resize} and {self.size}."
            )
        if self.channels not in (None, 1, 3):
            raise ValueError(f"`channels` should be 1 (grey) or 3 (colour). Found {self.channels}.")

    def parts(self, item: Any) -> tuple[Any, Any]:
        """Input and label of an item, or of a batch, as they are.

        Raises:
            ValueError: if it cannot be seen which they are.
        """
        if type(item) in (tuple, list) and len(item) >= 2:  # of most data sets; the questions below take longer
            return item[0], item[1]
        if isinstance(item, Mapping):
            return item[_named(item, self.image, INPUTS, "image")], item[_named(item, self.label, LABELS, "label")]
        if isinstance(item, Sequence) and not isinstance(item, str | bytes) and len(item) >= 2:
            return item[0], item[1]
        raise ValueError(
            "an item should be (input, label, …) or a mapping with both. "
            f"Found {_described(item)}. Wrap the data set in one whose items are."
        )

    def values(self, item: Any) -> Shaped[Tensor, "*shape"]:
        """The input of an item: bytes, 16 bit or float32, in the layout channels × height × width."""
        values = values_of(_decoded(self.parts(item)[0]))
        if self.turn and channels_last(tuple(values.shape)):
            values = values.permute(2, 0, 1)
        if self.channels is not None and values.ndim == 3:
            values = with_channels(values, self.channels)
        if self.size is not None and values.ndim == 3:
            values = fitted(values, self.size, self.resize or self.size)
        return values

    def label_of(self, item: Any) -> int | str:
        """The label of an item: a whole number, or the name of a class.

        Raises:
            ValueError: for anything else, such as one-hot vectors.
        """
        label = self.parts(item)[1]
        if isinstance(label, str):
            return label
        if isinstance(label, bytes):
            return label.decode()
        return whole(label)


def told(read: Callable[[Any], T], item: Any, index: int, source: str) -> T:
    """What is read of an item.

    Raises:
        ValueError: that names the data set and the item, where it cannot be read.
    """
    try:
        return read(item)
    except ValueError as error:
        raise ValueError(f"{source}, item {index}: {error}") from error


def item_of(items: Any, index: int, source: str) -> Any:
    """An item of a data set that somebody else wrote.

    Raises:
        ValueError: that names the data set and the item, where its code fails at it.
    """
    try:
        return items[index]
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError) as error:
        raise ValueError(
            f"{source}, item {index}: the data set itself should return it. It failed: "
            f"{type(error).__name__}: {error}. Mend or leave out that item."
        ) from error


def whole(label: Any) -> int:
    """A label as a whole number.

    Raises:
        ValueError: if it is no single whole number.
    """
    try:
        number = np.asarray(label.detach().cpu() if isinstance(label, Tensor) else label)
        if number.size == 1 and float(number.item()) == int(number.item()):
            return int(number.item())
    except (TypeError, ValueError, OverflowError):
        number = np.empty(0)
    raise ValueError(
        "a label should be one whole number, or the name of a class. "
        f"Found {_described(label)}. Return the number of the class, for example by `target_transform`."
    )


def _named(item: Mapping[Any, Any], given: str | None, usual: Sequence[str], what: str) -> str:
    """The name under which an item holds its input or label."""
    found = [given] if given is not None else [name for name in usual if name in item]
    if len(found) == 1 and found[0] in item:
        return found[0]
    raise ValueError(
        f"an item should hold its {what} as {given!r}. Found {', '.join(map(str, item))}."
        if given is not None
        else f"an item should hold its {what} as one of {', '.join(usual)}. Found {', '.join(map(str, item))}. "
        "Wrap the data set in one whose items are (input, label)."
    )


def _decoded(value: Any) -> Any:
    """An image that still lies in the bytes of its file, decoded; anything else as it is."""
    if isinstance(value, Mapping) and {"bytes", "path"} & value.keys():
        value = value.get("bytes") or open_file(value.get("path"))
    if isinstance(value, bytes | bytearray):
        try:
            image = Image.open(BytesIO(value))
            image.load()
        except Exception as error:  # a broken file can make the reader fail in any way
            raise ValueError(f"not an image that can be read ({error}).") from error
        return image
    return value


def open_file(path: Any) -> bytes:
    """The content of an image's file."""
    with open(path, "rb") as file:
        return file.read()


def _described(value: Any) -> str:
    """What a value is, in few words."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"{type(value).__name__} of shape {tuple(shape)}"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return f"{type(value).__name__} of {len(value)}"
    return f"{type(value).__name__}"

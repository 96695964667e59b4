"""Which dimension of an array is what: noticed from its shape or named, and brought to channels first."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

Layout = Literal["NF", "NCL", "NLC", "NHW", "NCHW", "NHWC", "NDHW", "NCDHW", "NDHWC"]
"""Samples N, features F, channels C, length L of a signal, depth D, height H and width W, in their order."""

COLOURS = (1, 3, 4)
"""Numbers of channels that the last dimension of an image has where channels come last."""
LEADS = 16
"""Most channels of a signal, and fewest pixels of a grey image's side, where nobody names the layout."""


def noticed_layout(shape: Sequence[int], source: str | Path) -> Layout:
    """The layout that an array's shape shows.

    Args:
        shape: of the whole array, samples first.
        source: for the message.

    Raises:
        ValueError: if the shape may mean several things, or nothing.

    Example:
        >>> noticed_layout((50, 32, 32, 3), "a"), noticed_layout((50, 28, 28), "a")
        ('NHWC', 'NHW')
    """
    inner = tuple(shape[1:])
    last = len(inner) > 2 and inner[-1] in COLOURS and inner[0] not in COLOURS
    if len(inner) == 1:
        return "NF"
    if len(inner) == 2 and inner[0] == inner[1]:
        return "NHW"
    if len(inner) == 2 and inner[0] <= LEADS < inner[1]:
        return "NCL"
    if len(inner) == 3 and len({*inner}) == 1 and inner[0] > LEADS:
        return "NDHW"
    if len(inner) == 3 and (last or inner[0] in COLOURS or inner[0] <= min(inner[1:])):
        return "NHWC" if last else "NCHW"
    if len(inner) == 4:
        return "NDHWC" if last else "NCDHW"
    raise ValueError(
        f"{source}: images should have 2 to 5 dimensions whose order can be seen. Found shape {tuple(shape)}. "
        f"Name the order with `layout`, one of {', '.join(get_args(Layout))}."
    )


def check_layout(layout: Layout, shape: Sequence[int], source: str | Path) -> None:
    """Refuse a layout that has another number of dimensions than the array.

    Raises:
        ValueError: for such a layout.
    """
    if len(layout) != len(shape):
        raise ValueError(
            f"{source}: `layout` should name each dimension. Found {layout!r} for images of shape {tuple(shape)}."
        )


def channels_first(raw: np.ndarray, layout: Layout) -> np.ndarray:
    """The array with its channels after the samples, one channel added where it has none; a view.

    Example:
        >>> channels_first(np.zeros((5, 8, 9, 3)), "NHWC").shape, channels_first(np.zeros((5, 8, 8)), "NHW").shape
        ((5, 3, 8, 9), (5, 1, 8, 8))
    """
    if layout == "NF":
        return raw
    return np.moveaxis(raw, layout.index("C"), 1) if "C" in layout else raw[:, None]


def sample_shape(shape: Sequence[int], layout: Layout) -> tuple[int, ...]:
    """Shape of one input that an array of this shape and layout makes."""
    return channels_first(np.broadcast_to(np.uint8(0), (1, *shape[1:])), layout).shape[1:]


def layout_notes(shape: Sequence[int], layout: Layout, source: str | Path) -> tuple[str, ...]:
    """What was done to the dimensions, in a sentence, where anything was."""
    if layout == "NF" or layout[1] == "C":
        return ()
    done = "moved to the front" if "C" in layout else "of one added"
    made = " × ".join(map(str, sample_shape(shape, layout)))
    seen = " × ".join(map(str, shape[1:]))
    return (f"{source}: images of {seen} read as {layout}, channels {done}: {made}. `layout` says otherwise.",)

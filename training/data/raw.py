"""What raw arrays become: which values are the lowest and highest, in which order, within which bounds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from training.data.checks import check_bounds, check_labels, check_values
from training.data.layout import (
    Layout,
    channels_first,
    check_layout,
    layout_notes,
    noticed_layout,
    sample_shape,
)
from training.data.split import Bounds, LazySplit, Split

HIGHEST = {"bool": 1, "uint8": 255, "uint16": 65535}
"""The value of whole numbers that is mapped to the upper bound, where it is plain."""
GLIMPSE = 2**26
"""Bytes of an array that are looked at before it is read."""
USUAL = {"[0, 1]": (0.0, 1.0), "[-1, 1]": (-1.0, 1.0), "[0, 255]": (0.0, 255.0)}


@dataclass(frozen=True)
class Form:
    """How raw samples become inputs.

    Attributes:
        layout: of the raw array.
        shape: of one input.
        dtype: of the raw array.
        levels: whole number that is mapped to the upper bound, as 0 is to the lower; None for floating point.
        bounds: lowest and highest legal value of an input.
    """

    layout: Layout
    shape: tuple[int, ...]
    dtype: np.dtype
    levels: int | None
    bounds: Bounds

    @property
    def stays(self) -> bool:
        """Whether a split holds samples as they are: bytes up to 255 and floating point of 32 bits."""
        return (self.dtype == np.uint8 and self.levels == 255) or self.dtype in (np.float32, np.float64)

    def inputs(self, raw: Shaped[np.ndarray, "B *raw"], source: str | Path) -> Shaped[Tensor, "B *shape"]:
        """Samples as a split takes them: bytes, or float32 within the bounds.

        Raises:
            ValueError: if a value cannot be right.
        """
        samples = np.ascontiguousarray(channels_first(raw, self.layout))
        if self.levels == 255 and self.dtype == np.uint8:
            return torch.from_numpy(samples)
        if self.levels is None:
            x = torch.from_numpy(samples.astype(np.float32, copy=False))
        else:
            check_levels(samples, self.levels, source)
            x = from_levels(torch.from_numpy(samples.astype(np.float32)), self.levels, self.bounds)
        check_values(x, self.bounds, source)
        return x


def from_levels(values: Float[Tensor, "*shape"], levels: int, bounds: Bounds) -> Float[Tensor, "*shape"]:
    """Values mapped from [0, levels] to the bounds, which are met exactly."""
    share = values / levels
    low, high = bounds
    return torch.lerp(torch.full_like(share, low), torch.full_like(share, high), share)


def check_levels(values: Shaped[np.ndarray, "*shape"], levels: int, source: str | Path) -> None:
    """Refuse whole numbers outside [0, levels].

    Raises:
        ValueError: if there are any.
    """
    if values.size and (values.min() < 0 or values.max() > levels):
        raise ValueError(
            f"{source}: images should lie in [0, {levels}]. Found values from {values.min()} to {values.max()}. "
            "State the largest possible value as `levels`."
        )


def form_of(
    raw: Any,
    *,
    bounds: Bounds | None,
    levels: int | None = None,
    layout: Layout | None = None,
    source: str | Path,
) -> tuple[Form, tuple[str, ...]]:
    """How samples of a raw array become inputs, and sentences on what was not said but taken.

    Args:
        raw: with `shape`, `dtype` and slices: an array, a mapped file or an HDF5 data set.
        bounds: lowest and highest legal value of an input; (0, 1) for whole numbers if not given.
        levels: largest possible value of whole numbers; that of their type if not given.
        layout: of the dimensions; noticed if not given.
        source: for the messages.

    Raises:
        ValueError: if bounds, levels or the layout are needed and not given, or cannot be.
    """
    check_dtype(raw.dtype, source)
    if layout is None:
        layout = noticed_layout(raw.shape, source)
        notes = layout_notes(raw.shape, layout, source)
    else:
        check_layout(layout, raw.shape, source)
        notes = ()
    seen = _glimpse(raw)
    if raw.dtype.kind == "f":
        if levels is not None:
            raise ValueError(f"{source}: `levels` should be left out for floating point. Found {levels}.")
        if bounds is None:
            raise ValueError(_bounds_needed(seen, source))
        check_bounds(bounds)
        notes += range_notes(seen, bounds, source)
    else:
        levels, found = _levels(seen, levels, source)
        bounds, taken = _bounds_of_levels(raw.dtype, levels, bounds, source)
        notes += found + taken
    return Form(layout, sample_shape(raw.shape, layout), raw.dtype, levels, bounds), notes


def check_dtype(dtype: np.dtype, source: str | Path) -> None:
    """Refuse what holds no numbers.

    Raises:
        ValueError: for texts, objects and complex numbers.
    """
    if dtype.kind not in "biuf":
        raise ValueError(f"{source}: images should be whole numbers or floating point. Found {dtype}.")


def _glimpse(raw: Any) -> np.ndarray:
    """The first samples."""
    each = max(1, int(np.prod(raw.shape[1:])) * raw.dtype.itemsize)
    return np.asarray(raw[: max(1, GLIMPSE // each)])


def _bounds_needed(seen: np.ndarray, source: str | Path) -> str:
    found = seen[np.isfinite(seen)]
    low, high = (float(found.min()), float(found.max())) if found.size else (0.0, 0.0)
    fitting = [written for written, (a, b) in USUAL.items() if a <= low and high <= b]
    advice = (
        f"They fit {' and '.join(fitting)}: state the one that the network was trained with."
        if fitting
        else "They fit none of the usual [0, 1], [-1, 1] and [0, 255]; images from which a mean was taken should be "
        "given without that."
    )
    return (
        f"{source}: `bounds` should say the lowest and highest legal value of an input, in floating point. "
        f"Found values from {low:.6g} to {high:.6g} in the first {len(seen)} samples. {advice}"
    )


def range_notes(seen: Shaped[np.ndarray, "N *shape"], bounds: Bounds, source: str | Path) -> tuple[str, ...]:
    """A sentence where values fill at most 60 % of the bounds: perhaps they are another's."""
    found = seen[np.isfinite(seen)]
    if not found.size or not np.isfinite(bounds).all():
        return ()
    low, high = float(found.min()), float(found.max())
    if high - low > 0.6 * (bounds[1] - bounds[0]) or low < bounds[0] or high > bounds[1]:
        return ()
    return (
        f"{source}: images fill only [{low:.4g}, {high:.4g}] of the bounds [{bounds[0]:g}, {bounds[1]:g}]; are these "
        "the bounds that the network was trained with?",
    )


def _levels(seen: np.ndarray, levels: int | None, source: str | Path) -> tuple[int, tuple[str, ...]]:
    low, high = (int(seen.min()), int(seen.max())) if seen.size else (0, 0)
    if levels is not None:
        if levels < 1:
            raise ValueError(f"{source}: `levels` should be at least 1. Found {levels}.")
        return levels, ()
    if str(seen.dtype) not in HIGHEST:
        raise ValueError(
            f"{source}: `levels` should say the largest possible value, such as 255, of images in {seen.dtype}. "
            f"Found values from {low} to {high} in the first {len(seen)} samples."
        )
    if seen.dtype == np.uint8 and (low, high) == (0, 1):
        raise ValueError(
            f"{source}: images in bytes should reach 255, and these hold 0 and 1 alone. State `levels: 1` if 1 is "
            "white, or `levels: 255`."
        )
    return HIGHEST[str(seen.dtype)], depth_notes(seen.dtype, high, source)


def depth_notes(dtype: np.dtype, high: int, source: str | Path) -> tuple[str, ...]:
    """A sentence where values of 16 bits seem to have fewer."""
    if dtype != np.uint16 or high >= 2**15:
        return ()
    guess = max(255, 2 ** int(high).bit_length() - 1)
    return (
        f"{source}: images in 16 bits reach {high} of 65535; if they have fewer bits, state them, such as "
        f"`levels: {guess}`.",
    )


def _bounds_of_levels(
    dtype: np.dtype, levels: int, bounds: Bounds | None, source: str | Path
) -> tuple[Bounds, tuple[str, ...]]:
    if bounds is not None:
        check_bounds(bounds, whole_numbers=str(source))
        return bounds, ()
    kind = "bytes" if dtype == np.uint8 else str(dtype)
    return (0.0, 1.0), (
        f"{source}: images in {kind} are mapped from [0, {levels}] to [0, 1], as no `bounds` are given.",
    )


class RowsSplit(LazySplit):
    """Samples in the rows of something, converted when they are asked for: derive from it and say how to read rows.

    Args:
        rows: `(N,)`, where each sample lies.
        labels: `(N,)` in [0, classes).
        form: how raw samples become inputs.
        source: for the messages.
    """

    def __init__(
        self, rows: Shaped[Tensor, " N"], labels: Shaped[Tensor, " N"], form: Form, source: str | Path
    ) -> None:
        super().__init__(labels, form.bounds)
        self.rows, self.form, self.source = rows, form, source

    def read_rows(self, rows: Shaped[np.ndarray, " B"]) -> Shaped[np.ndarray, "B *raw"]:
        """Raw samples of some rows, which are sorted and all different."""
        raise NotImplementedError

    def read(self, indices: Sequence[int]) -> Shaped[Tensor, "B *shape"]:
        """The samples of some indices, in their order."""
        rows, where = np.unique(self.rows[torch.as_tensor(indices)].numpy(), return_inverse=True)
        return self.form.inputs(self.read_rows(rows)[where], self.source)


class HeldSplit(RowsSplit):
    """Samples in memory in their own type, such as 16 bits.

    Args:
        raw: `(N, *raw)`.
        labels: `(N,)` in [0, classes).
        form: how raw samples become inputs.
        source: for the messages.
    """

    def __init__(
        self, raw: Shaped[np.ndarray, "N *raw"], labels: Shaped[Tensor, " N"], form: Form, source: str | Path
    ) -> None:
        super().__init__(torch.arange(len(labels)), labels, form, source)
        self.raw = raw

    def read_rows(self, rows: Shaped[np.ndarray, " B"]) -> Shaped[np.ndarray, "B *raw"]:
        """Raw samples of some rows."""
        return self.raw[rows]


def split_in_memory(
    raw: Shaped[np.ndarray, "N *raw"],
    labels: Shaped[np.ndarray, " N2"],
    form: Form,
    classes: int,
    source: str | Path,
) -> Split:
    """A split that holds its samples: bytes as bytes, 16 bits as 16 bits, floating point in at most 32.

    Args:
        raw: samples.
        labels: numbers of their classes.
        form: how raw samples become inputs.
        classes: how many there are.
        source: for the messages.

    Raises:
        ValueError: if samples cannot be right.
    """
    targets = torch.from_numpy(labels)
    check_labels(len(raw), targets, classes, source)
    if form.stays:
        return Split(form.inputs(raw, source), targets, form.bounds)
    return HeldSplit(raw, targets, form, source)

"""Bounds of inputs in other libraries' hands: what the first samples say of them, and what is refused."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from training.data.split import Bounds, from_bytes

Normalizes = tuple[Sequence[float], Sequence[float]] | None
"""Mean and standard deviation that a data set normalises by, if it is known."""
ROUNDING = 1e-5
"""Share of the width of the bounds by which arithmetic in float32 may leave them."""
FULL = {torch.uint8: 255, torch.uint16: 65535}
"""Largest values of whole numbers that are mapped to the bounds."""


def within(values: Shaped[Tensor, "*shape"], bounds: Bounds) -> Float[Tensor, "*shape"]:
    """An input in the unit of the bounds: bytes and 16 bit are mapped to them, others are as they are."""
    if values.dtype == torch.uint8:
        return from_bytes(values, bounds)
    if values.dtype == torch.uint16:
        share = values.to(torch.float64).div_(FULL[torch.uint16])
        return (bounds[0] + (bounds[1] - bounds[0]) * share).float().clamp(*bounds)
    return values


def clipped(inputs: Float[Tensor, "B *shape"], bounds: Bounds, source: str, normalizes: Normalizes) -> Tensor:
    """Inputs that lie within the bounds but for rounding.

    Raises:
        ValueError: for NaN, infinite values, or values outside of the bounds.
    """
    if not inputs.isfinite().all():
        bad = int((~inputs.isfinite()).sum())
        raise ValueError(
            f"{source}: inputs should be finite. Found {bad} values that are not. Remove or impute them."
        )
    low, high = (float(value) for value in inputs.aminmax()) if inputs.numel() else bounds
    slack = ROUNDING * (bounds[1] - bounds[0]) if all(map(math.isfinite, bounds)) else 0.0
    if low < bounds[0] - slack or high > bounds[1] + slack:
        raise ValueError(
            f"{source}: inputs should lie within {bounds}. Found values from {low:.4g} to {high:.4g}. "
            + (_take_out(normalizes) if _looks_normalized(low, high) else "Rescale them, or state their `bounds`.")
        )
    return inputs.clamp(*bounds)


def checked_bounds(
    bounds: Sequence[float | int] | None, values: Sequence[Tensor], source: str, normalizes: Normalizes
) -> Bounds:
    """The bounds, if they are given and can be the unit of ε.

    Args:
        bounds: as somebody gives them.
        values: of the first samples, as the data set gives them.
        source: of the samples.
        normalizes: mean and standard deviation of a Normalize among the transforms.

    Raises:
        ValueError: if they are not given, are no two numbers in order, are infinite where bytes have to be mapped to
            them, or the data set normalises to something that they do not describe.
    """
    if bounds is None:
        raise ValueError(
            f"`bounds` should be the lowest and highest legal value of an input, the range in which ε is measured. "
            f"Found none. {source}: {advice(values, normalizes)}"
        )
    if len(bounds) != 2 or not bounds[0] < bounds[1]:
        raise ValueError(f"`bounds` should be two numbers, the lower one first. Found {tuple(bounds)}.")
    pair = (float(bounds[0]), float(bounds[1]))
    if any(value.dtype in FULL for value in values) and not all(map(math.isfinite, pair)):
        raise ValueError(f"{source}: images in bytes need finite `bounds` to be mapped to. Found {pair}.")
    if normalizes is not None and not _maps_to(normalizes, pair):
        raise ValueError(
            f"{source}: inputs should lie in one range for all channels, or ε has no unit. "
            f"Found `bounds` {pair} and a data set that normalises. {_take_out(normalizes)}"
        )
    return pair


def doubts(values: Sequence[Tensor], bounds: Bounds, source: str) -> list[str]:
    """What looks odd about the first samples beside their bounds, which are legal all the same."""
    if any(value.dtype in FULL for value in values):
        return []
    low, high = min(float(value.min()) for value in values), max(float(value.max()) for value in values)
    seen = f"{source}: the first {len(values)} samples hold values from {low:.4g} to {high:.4g}"
    if bounds[0] < 0 <= low:
        return [f"{seen}, none below 0, though `bounds` are {bounds}: half of that range may be illegal"]
    if _looks_normalized(low, high) and all(value.ndim == 3 for value in values):
        return [f"{seen}, as if images were normalised: ε is measured in that unit"]
    return []


def advice(values: Sequence[Tensor], normalizes: Normalizes) -> str:
    """What the first samples say of the bounds."""
    count = len(values)
    if all(value.dtype in FULL for value in values):
        kind = "bytes" if values[0].dtype == torch.uint8 else "whole numbers of 16 bit"
        return (
            f"the first {count} samples are {kind}, which are mapped to the bounds: take (0, 1), or (-1, 1) if the "
            "network was trained with that."
        )
    low = min(float(value.min()) for value in values)
    high = max(float(value.max()) for value in values)
    seen = f"the first {count} samples hold values from {low:.4g} to {high:.4g}"
    if normalizes is not None and not _maps_to(normalizes, (-1.0, 1.0)):
        return f"{seen}. {_take_out(normalizes)}"
    if low >= 0 and high <= 1:
        return f"{seen}: (0, 1) fits."
    if low >= -1 and high <= 1:
        return f"{seen}: (-1, 1) fits."
    if low >= 0 and high <= 255 and high > 1:
        return f"{seen}: (0, 255) fits, if they are bytes. ε is then in that unit."
    return f"{seen}. {_take_out(normalizes) if _looks_normalized(low, high) else 'No usual choice fits.'}"


def _looks_normalized(low: float, high: float) -> bool:
    """Whether values look as if a mean was taken from them and a deviation divided by."""
    return low < 0 and high > 1 and max(-low, high) < 20


def _take_out(normalizes: Normalizes) -> str:
    """What a user does who normalises in the data set."""
    named, given, kept = "Normalize", "`normalize` (--normalize)", ""
    if normalizes is not None:
        mean, std = (",".join(f"{value:.6g}" for value in part) for part in normalizes)
        named, given = f"Normalize(mean=[{mean}], std=[{std}])", f"--normalize {mean},{std}"
        same = _range_of(normalizes)
        kept = "" if same is None else f" Or give `bounds` {same}, to which it maps [0, 1]."
    return (
        f"The data set seems to normalise, in which unit ε means nothing: take {named} out of its transforms, and "
        f"give it as {given}, with the bounds of the images before it, such as (0, 1).{kept}"
    )


def _maps_to(normalizes: tuple[Sequence[float], Sequence[float]], bounds: Bounds) -> bool:
    """Whether every channel of images in [0, 1] comes to lie in the bounds, and fills them."""
    return all(abs(end - bound) < 1e-3 for pair in _ends(normalizes) for end, bound in zip(pair, bounds, strict=True))


def _range_of(normalizes: tuple[Sequence[float], Sequence[float]]) -> Bounds | None:
    """To what images in [0, 1] are mapped, if it is the same for all channels."""
    first, *others = _ends(normalizes)
    near = all(abs(end - other) < 1e-3 for pair in others for end, other in zip(pair, first, strict=True))
    return (float(f"{first[0]:.6g}"), float(f"{first[1]:.6g}")) if near else None


def _ends(normalizes: tuple[Sequence[float], Sequence[float]]) -> list[Bounds]:
    """To what 0 and 1 are mapped in each channel."""
    return [((0 - mean) / std, (1 - mean) / std) for mean, std in zip(*normalizes, strict=False)]

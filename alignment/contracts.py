"""What every public function asks of its arguments, checked in one voice.

An error names the argument, says what was found and what was expected.
"""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from alignment.deferral import refuse_if
from alignment.spelling import did_you_mean, listed


def check_classifier(classifier: Any) -> None:
    """Refuse what is no module, and so has no mode and no parts."""
    if not isinstance(classifier, nn.Module):
        raise ValueError(f"`classifier` should be a torch.nn.Module. Found {_kind(classifier)}.")


def check_floating(value: Any, name: str) -> None:
    """Refuse what is no batch of floating-point numbers.

    Integers have no gradient and no room for a small change; a sparse tensor, or one without values, no memory of its
    own to change.
    """
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise ValueError(f"`{name}` should be a tensor of floating-point numbers. Found {_kind(value)}.")
    if value.layout != torch.strided or value.is_meta:
        kind = "one without values, on the device meta" if value.is_meta else value.layout
        raise ValueError(f"`{name}` should be a dense tensor. Found {kind}.")
    if not value.ndim:
        raise ValueError(f"`{name}` should be a batch, (B, *shape). Found a single number.")


def check_finite(value: Shaped[Tensor, "..."], name: str) -> None:
    """Refuse NaN and infinities, which would spread silently through every mean."""
    size = value.numel()
    refuse_if(
        (~torch.isfinite(value)).sum(),
        lambda bad: f"`{name}` should be finite. Found {bad} NaN or infinite of {size} values.",
    )


def check_gradient(gradient: Float[Tensor, "..."]) -> None:
    """Refuse a gradient that is NaN or infinite: its sign and its direction would mean nothing."""
    check_finite(gradient, "gradient of classifier(x)")


def check_bounds(bounds: tuple[float, float]) -> None:
    """Refuse bounds that are not an interval."""
    if not _is_interval(bounds):
        raise ValueError(f"`bounds` should be (low, high) with low < high. Found {bounds!r}.")


def check_inputs(x: Float[Tensor, "B *shape"], bounds: tuple[float, float]) -> None:
    """Refuse inputs that are no floating-point tensor, NaN or outside the bounds, and bounds that are no interval.

    Raises:
        ValueError: naming `x` or `bounds`.
    """
    check_bounds(bounds)
    check_floating(x, "x")
    check_finite(x, "x")
    if x.numel():
        low, high = x.aminmax()
        refuse_if(
            (low < bounds[0]) | (high > bounds[1]),
            lambda _: (
                f"`x` should lie within `bounds` {bounds}. Found values from {float(low):.6g} to {float(high):.6g}."
            ),
        )


def check_label_form(labels: Any, size: int, name: str = "y") -> None:
    """Refuse labels that are not one int64 per sample; how many classes there are need not be known."""
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64:
        raise ValueError(f"`{name}` should be a tensor of int64, the numbers of classes. Found {_kind(labels)}.")
    if labels.shape != (size,):
        raise ValueError(f"`{name}` should have shape ({size},). Found {tuple(labels.shape)}.")


def check_labels(labels: Int[Tensor, "..."], size: int, classes: int, name: str = "y") -> None:
    """Refuse labels that are not one int64 per sample or lie outside [0, classes)."""
    check_label_form(labels, size, name)
    check_range(labels, classes, name)


def check_range(values: Int[Tensor, " K"], count: int, name: str, what: str = "") -> None:
    """Refuse numbers of things, of which there are `count`, that are negative or too large.

    Args:
        values: from 0 on.
        count: of the things.
        name: of the argument.
        what: is counted, as ", the samples".
    """
    if len(values):
        low, high = values.aminmax()
        refuse_if(
            (low < 0) | (high >= count),
            lambda _: f"`{name}` should lie in [0, {count}){what}. Found values from {int(low)} to {int(high)}.",
        )


def check_same_shape(value: Float[Tensor, "..."], reference: Float[Tensor, "..."], name: str, like: str) -> None:
    """Refuse a tensor whose shape differs from the one it belongs to."""
    if value.shape != reference.shape:
        raise ValueError(
            f"`{name}` should have the shape of `{like}`, {tuple(reference.shape)}. Found {tuple(value.shape)}."
        )


def check_number(value: Any, name: str, demand: str, is_right: Callable[[Any], bool]) -> None:
    """Refuse what is no real number, or not the right one.

    Args:
        value: a number, perhaps a tensor of one.
        name: of the argument.
        demand: what it should do, as "lie in (0, 1)".
        is_right: whether a number does; False for NaN.
    """
    if not _is_number(value) or not is_right(value):
        found = value if _is_number(value) else repr(value)
        raise ValueError(f"`{name}` should {demand}. Found {found}.")


def check_choice(value: str | None, choices: tuple[str | None, ...], name: str) -> None:
    """Refuse a word that is not among the choices."""
    if value not in choices:
        names = [*map(str, choices)]
        raise ValueError(
            f"`{name}` should be one of {listed(value, names)}. Found {value!r}.{did_you_mean(value, names)}"
        )


def check_counts(least: int, **counts: Any) -> None:
    """Refuse counts, given by their names, that are no whole numbers or too small."""
    for name, count in counts.items():
        if not isinstance(count, Integral):
            raise ValueError(f"`{name}` should be a whole number. Found {count!r}.")
        if int(count) < least:
            raise ValueError(f"`{name}` should be at least {least}. Found {count}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) or (isinstance(value, Tensor) and value.ndim == 0)


def _is_interval(bounds: Any) -> bool:
    try:
        low, high = bounds
    except (TypeError, ValueError):
        return False
    return _is_number(low) and _is_number(high) and bool(low < high)


def _kind(value: Any) -> str:
    """Type of a value, or what a tensor holds."""
    return str(value.dtype).removeprefix("torch.") if isinstance(value, Tensor) else type(value).__name__

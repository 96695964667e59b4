"""A radius per sample where a library takes one number for all of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


class Radius(Tensor):
    """Radii of samples that stand where pyautoattack reckons with one number.

    With numbers they stay radii. Beside a tensor of one number per sample they are one number per sample, beside one
    of samples they have its number of axes, and what is assigned to some samples is theirs.
    """

    @staticmethod
    def of(radii: Float[Tensor, " B"], axes: int) -> "Radius":
        """One radius per sample, for samples of so many axes, that of the batch included."""
        return radii.reshape(-1, *[1] * (axes - 1)).as_subclass(Radius)

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """What an operator makes of radii."""
        others = [arg for arg in args if isinstance(arg, Tensor) and not isinstance(arg, Radius)]
        flat = any(other.ndim == 1 for other in others) and func is not Tensor.__setitem__
        plain = [_plain(arg, flat) if isinstance(arg, Radius) else arg for arg in args]
        if func is Tensor.__setitem__:
            plain[2] = plain[2][plain[1]]
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*plain, **(kwargs or {}))
        return result if others or not isinstance(result, Tensor) else result.as_subclass(Radius)


def _plain(radii: Radius, flat: bool) -> Tensor:
    """The same numbers as an ordinary tensor."""
    with torch._C.DisableTorchFunctionSubclass():
        plain = radii.as_subclass(Tensor)
        return plain.flatten() if flat else plain

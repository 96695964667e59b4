"""A radius per sample where a library takes one number for all of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from alignment.double import exactly


class Radius(Tensor):
    """Radii of samples that stand where pyautoattack reckons with one number.

    With numbers they stay radii, in float64 as numbers are. Beside a tensor they are of its precision, and: one
    number per sample where it holds one per sample; the largest where it holds what is for all samples alike; where
    something is assigned to some samples, theirs.
    """

    @staticmethod
    def of(radii: Float[Tensor, " B"], axes: int) -> "Radius":
        """One radius per sample, for samples of so many axes, that of the batch included."""
        return exactly(radii).reshape(-1, *[1] * (axes - 1)).as_subclass(Radius)

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """What an operator makes of radii."""
        with torch._C.DisableTorchFunctionSubclass():
            others = [arg for arg in args if isinstance(arg, Tensor) and not isinstance(arg, Radius)]
            plain = [arg.as_subclass(Tensor) if isinstance(arg, Radius) else arg for arg in args]
            if func is Tensor.__setitem__:
                whole, chosen, radii = plain
                whole[chosen] = radii[chosen.to(radii.device)].to(whole)
                return None
            if others:
                plain = [_beside(others[0], arg) if isinstance(arg, Radius) else arg for arg in args]
            result = func(*plain, **(kwargs or {}))
            return result if others or not isinstance(result, Tensor) else result.as_subclass(Radius)


def _beside(other: Tensor, radii: Radius) -> Tensor:
    """Radii as they go with another tensor."""
    plain = radii.as_subclass(Tensor).to(other)
    if other.ndim == 1:
        return plain.flatten()
    return plain if other.ndim == plain.ndim else plain.amax()

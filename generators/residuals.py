"""What a residual estimator is, and the one that is known in closed form."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.contracts import check_labels
from alignment.double import double_device


@runtime_checkable
class ResidualEstimator(Protocol):
    """Anything that returns the vector from x to the closest point of a class.

    Attributes:
        name: as it stands in tables.
        settings: plain values on which its residuals depend.
        digest: of the weights or examples on which they depend; empty if there are none.
    """

    name: str

    @property
    def settings(self) -> dict[str, Any]:
        """Plain values on which the residuals depend."""
        ...

    @property
    def digest(self) -> str:
        """Of the weights or examples on which the residuals depend; empty if there are none."""
        ...

    def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        """Δ̂x(x, target), of the shape of x.

        Args:
            x: inputs, `(B, *shape)`.
            y: true classes, `(B,)` int64.
            target: the classes to point to, `(B,)` int64.
        """
        ...


class ExactResidual:
    """Δx where it is known in closed form, as on Spheres and Squares.

    Args:
        rule: `(x, y, target) → Δx`, for example `radial((1.0, 1.3))`.
    """

    name = "exact"
    digest = ""

    def __init__(self, rule: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        self.rule = rule
        self.settings: dict[str, Any] = {}

    def __call__(
        self, x: Float[Tensor, "B *shape"], y: Int[Tensor, " B"], target: Int[Tensor, " B"]
    ) -> Float[Tensor, "B *shape"]:
        """Δx(x, target), `(B, *shape)`."""
        return self.rule(x, y, target)


def radial(radii: Sequence[float]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Residuals between concentric spheres, one radius per class: paper 1, Eq. 19 for radii (1, 1.3).

    Example:
        >>> x = torch.tensor([[0.8, 0.6], [0.78, 1.04]])
        >>> radial((1.0, 1.3))(x, torch.tensor([0, 1]), torch.tensor([1, 0]))
        tensor([[ 0.2400,  0.1800],
                [-0.1800, -0.2400]])
    """
    return partial(_radial, tuple(radii))


def towards_prototypes(prototypes: Float[Tensor, "C *shape"]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Residuals between noiseless class images: prototype of the target minus prototype of the own class."""
    return partial(_towards_prototypes, prototypes)


def _radial(radii: tuple[float, ...], x: Tensor, y: Tensor, target: Tensor) -> Tensor:
    check_labels(y, len(x), len(radii))
    check_labels(target, len(x), len(radii), "target")
    # float64, because 1.3 / 1 − 1 loses a digit in float32.
    place = double_device(x.device)
    table = _table(radii, place)
    scale = (table[target.to(place)] / table[y.to(place)] - 1).to(x.dtype).to(x.device)
    return x * scale.reshape(-1, *[1] * (x.ndim - 1))


@lru_cache(maxsize=16)
def _table(radii: tuple[float, ...], place: torch.device) -> Tensor:
    """Sent to a device once: it would be waited for at each step."""
    return torch.tensor(radii, dtype=torch.float64, device=place)


def _towards_prototypes(prototypes: Tensor, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
    check_labels(y, len(x), len(prototypes))
    check_labels(target, len(x), len(prototypes), "target")
    table = prototypes.to(x)
    return table[target] - table[y]

"""What a residual estimator is, and the two that need no training."""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from hashlib import sha256
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.contracts import check_finite, check_labels
from alignment.double import double_device, exactly


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
    table = torch.tensor(radii, dtype=torch.float64, device=place)
    scale = (table[target.to(place)] / table[y.to(place)] - 1).to(x.dtype).to(x.device)
    return x * scale.reshape(-1, *[1] * (x.ndim - 1))


def _towards_prototypes(prototypes: Tensor, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
    check_labels(y, len(x), len(prototypes))
    check_labels(target, len(x), len(prototypes), "target")
    table = prototypes.to(x)
    return table[target] - table[y]


class NearestExample:
    """The nearest example, in L2, of the target class among given examples; the trivial rival of any estimator.

    The search is exact: distances are expanded in float64, where the expansion loses nothing that matters.
    Queries and examples are compared in blocks, so memory does not grow with the product of the two numbers.
    A query that is itself among the examples of the target class finds itself at distance 0.

    Args:
        examples: inputs to choose from, `(N, *shape)`; kept in their own precision.
        labels: their classes, `(N,)` int64.
        block: examples, and queries, per block; None for as many as fill 128 MB, at most 4,096.

    Raises:
        ValueError: if examples and labels differ in number, or `block` is below 1.
    """

    name = "nearest example"

    def __init__(
        self, examples: Float[Tensor, "N *shape"], labels: Int[Tensor, " N"], *, block: int | None = None
    ) -> None:
        if len(examples) != len(labels):
            raise ValueError(f"`labels` should be one per example, {len(examples)}. Found {len(labels)} labels.")
        if block is not None and block < 1:
            raise ValueError(f"`block` should be at least 1. Found {block}.")
        self.shape = examples.shape[1:]
        self.settings: dict[str, Any] = {"examples": len(examples)}
        self.block = block or min(4096, max(1, 2**24 // max(1, self.shape.numel())))
        self.examples = {int(c): examples[labels == c].flatten(1) for c in labels.unique()}

    @cached_property
    def digest(self) -> str:
        """A short text that differs when any example or class does."""
        found = sha256()
        for c, examples in self.examples.items():
            found.update(f"{c} {len(examples)}".encode())
            found.update(examples.cpu().contiguous().numpy().tobytes())
        return found.hexdigest()[:16]

    def __call__(
        self, x: Float[Tensor, "B *shape"], y: Int[Tensor, " B"], target: Int[Tensor, " B"]
    ) -> Float[Tensor, "B *shape"]:
        """Nearest example of the target class minus x, `(B, *shape)`.

        Raises:
            ValueError: if there is no example of a target class, or images have another shape.
        """
        if x.shape[1:] != self.shape:
            raise ValueError(
                f"`x` should hold samples of shape {tuple(self.shape)}, as the examples. Found {tuple(x.shape[1:])}."
            )
        check_finite(x, "x")
        nearest = torch.empty_like(x.flatten(1))
        for c in target.unique().tolist():
            if c not in self.examples:
                raise ValueError(
                    f"`target` should be among the classes with examples, {sorted(self.examples)}. Found {c}."
                )
            chosen = target == c
            nearest[chosen] = self._nearest(x.flatten(1)[chosen], c)
        return nearest.reshape(x.shape) - x

    def _nearest(self, queries: Tensor, c: int) -> Tensor:
        examples = self.examples[c]
        found = [self._nearest_index(exactly(part), examples) for part in queries.split(self.block)]
        return examples[torch.cat(found).to(examples.device)].to(queries)

    def _nearest_index(self, queries: Tensor, examples: Tensor) -> Tensor:
        best = torch.full((len(queries),), torch.inf, dtype=torch.float64, device=queries.device)
        index = torch.zeros(len(queries), dtype=torch.int64, device=queries.device)
        for start in range(0, len(examples), self.block):
            block = exactly(examples[start : start + self.block]).to(queries)
            # ‖q − e‖² without ‖q‖², which does not change the order.
            distance = torch.addmm(block.square().sum(1), queries, block.T, alpha=-2)
            closest, where = distance.min(dim=1)
            better = closest < best
            best = torch.where(better, closest, best)
            index = torch.where(better, where + start, index)
        return index

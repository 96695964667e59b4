"""The tangent space of the data at a point, by principal components of the nearest examples."""

from functools import cached_property
from hashlib import sha256
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from alignment.contracts import check_counts, check_finite
from alignment.double import double_device
from generators.examples import Examples

BLOCK = 2**21
"""Numbers in a block of examples: 16 MB in float64."""


class LocalTangent:
    """The first principal components of the k nearest examples, of whichever class; `x → orthonormal basis`.

    Srinivas, Bordt and Lakkaraju 2023 (arXiv 2305.19101) find the tangent space with an autoencoder. Local
    principal components (Kambhatla and Leen 1997) are taken here because they can be checked: of examples in a plane
    they are that plane, to rounding, from as many neighbours as it has dimensions and one more; and nothing is
    trained that could be at fault for a number. Distances and components are computed in float64.

    Args:
        examples: of the data, at least `neighbours` of them.
        neighbours: k.
        dimensions: K < k, of the tangent space, at most as many as numbers in an example.

    Attributes:
        settings: k, K and the number of examples.

    Raises:
        ValueError: if K or k is below 1, K is not below k or above the size of an example, or there are fewer than k
            examples.
    """

    def __init__(self, examples: Examples, *, neighbours: int = 32, dimensions: int = 8) -> None:
        check_counts(1, neighbours=neighbours, dimensions=dimensions)
        count = len(examples.labels)
        self.size = torch.Size(examples.shape).numel()
        if dimensions >= neighbours or dimensions > self.size:
            raise ValueError(
                f"`dimensions` should be below `neighbours`, {neighbours}, and at most the {self.size} numbers of an "
                f"example. Found {dimensions}."
            )
        if neighbours > count:
            raise ValueError(f"`neighbours` should be at most the {count} examples. Found {neighbours}.")
        self.examples, self.neighbours, self.dimensions = examples, neighbours, dimensions
        self.settings: dict[str, Any] = {"neighbours": neighbours, "dimensions": dimensions, "examples": count}
        self.block = max(1, BLOCK // self.size)

    @cached_property
    def digest(self) -> str:
        """A short text that differs when any example does."""
        found = sha256()
        for rows in torch.arange(len(self.examples.labels)).split(self.block):
            found.update(self._read(rows).cpu().numpy().tobytes())
        return found.hexdigest()[:16]

    def __call__(self, x: Float[Tensor, "B *shape"]) -> Float[Tensor, "B K N"]:
        """An orthonormal basis of the tangent space at each point.

        Raises:
            ValueError: if x has another shape than the examples, or holds NaN.
        """
        if tuple(x.shape[1:]) != tuple(self.examples.shape):
            raise ValueError(
                f"`x` should hold samples of shape {tuple(self.examples.shape)}, as the examples. "
                f"Found {tuple(x.shape[1:])}."
            )
        check_finite(x, "x")
        near = self.nearest(x)
        centred = near - near.mean(dim=1, keepdim=True)
        found: Tensor = torch.linalg.svd(centred, full_matrices=False).Vh[:, : self.dimensions]
        return found.to(torch.promote_types(x.dtype, torch.float32)).to(x.device)

    def nearest(self, x: Float[Tensor, "B *shape"]) -> Float64[Tensor, "B k N"]:
        """The k nearest examples of each point, nearest first; an example that is the point itself is one of them."""
        queries = x.flatten(1).to(double_device(x.device)).double()
        distances, rows = queries.new_full((len(x), 0), torch.inf), torch.zeros((len(x), 0), dtype=torch.int64)
        rows = rows.to(queries.device)
        for part in torch.arange(len(self.examples.labels)).split(self.block):
            further = torch.cdist(queries, self._read(part).to(queries), compute_mode="donot_use_mm_for_euclid_dist")
            both = torch.cat([distances, further], dim=1)
            numbers = torch.cat([rows, part.to(rows.device).expand(len(x), -1)], dim=1)
            distances, order = both.topk(min(self.neighbours, both.shape[1]), largest=False)
            rows = numbers.gather(1, order)
        return self._read(rows.flatten().cpu()).to(queries).unflatten(0, rows.shape)

    def _read(self, rows: Tensor) -> Float64[Tensor, "R N"]:
        examples = self.examples.read(rows).flatten(1).double()
        check_finite(examples, "examples")
        return examples

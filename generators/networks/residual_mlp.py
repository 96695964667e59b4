"""A fully connected network that returns a residual: `(x, y, target) → Δ̂x`, Eq. 10 of paper 1."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from generators.networks.codes import Codes, Form, code_size, coded, options_of

FORMS: Mapping[Form, Mapping[str, Any]] = {
    "ours": {"codes": "one_hot", "batch_norm": False, "zero_start": True},
    "paper": {"codes": "scalars", "batch_norm": True, "zero_start": False},
}


class ResidualMLP(nn.Module):
    """Fully connected with ReLU from a vector and the codes of y and of the target to a residual.

    Hidden layers of 1,000 and 1,000 are paper 1's generator for Spheres. The form "paper" is that of its program,
    with batch normalisation after each ReLU and torch's initialisation everywhere; that it has the three codes of the
    U-Net is taken. In ours nothing is normalised, and the last layer starts at zero, so that training starts at
    Δ̂x = 0.

    Args:
        shape: of one input.
        num_classes: C.
        bounds: lowest and highest legal value of an input; not used.
        hidden: sizes of the hidden layers.
        skip: add W_target x to the residual, a matrix for each target, learned from zero.
        form: "ours", or "paper" for the paper's, whose options follow; each can be chosen alone.
        codes: of the classes, "one_hot" or three "scalars"; None as in the form, like all that follow.
        batch_norm: after each ReLU.
        zero_start: whether the last layer starts at zero.

    Raises:
        ValueError: if there is no such form, or no such codes.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int,
        bounds: tuple[float, float],
        *,
        hidden: Sequence[int] = (1000, 1000),
        skip: bool = False,
        form: Form = "ours",
        codes: Codes | None = None,
        batch_norm: bool | None = None,
        zero_start: bool | None = None,
    ) -> None:
        super().__init__()
        made = options_of(FORMS, form, codes=codes, batch_norm=batch_norm, zero_start=zero_start)
        self.shape, self.num_classes, self.codes = tuple(shape), num_classes, made["codes"]
        size = math.prod(shape)
        first = size + code_size(self.codes, num_classes)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise([first, *hidden]):
            layers += [nn.Linear(before, after), nn.ReLU(), *([nn.BatchNorm1d(after)] if made["batch_norm"] else [])]
        self.layers = nn.Sequential(*layers)
        self.last = nn.Linear(hidden[-1] if hidden else first, size)
        if made["zero_start"]:
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)
        self.matrices = nn.Linear(size, num_classes * size, bias=False) if skip else None
        if self.matrices is not None:
            nn.init.zeros_(self.matrices.weight)

    def forward(
        self, x: Float[Tensor, "B *shape"], y: Int[Tensor, " B"], target: Int[Tensor, " B"]
    ) -> Float[Tensor, "B *shape"]:
        """Δ̂x(x, target)."""
        flat = x.flatten(1)
        codes = coded(y, target, self.codes, self.num_classes, x)
        residual = self.last(self.layers(torch.cat([flat, codes], dim=1)))
        if self.matrices is not None:
            products = self.matrices(flat).unflatten(1, (self.num_classes, -1))
            residual = residual + products[torch.arange(len(x), device=x.device), target]
        return residual.reshape(x.shape)

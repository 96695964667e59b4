"""How far two gradients disagree: cosines tensor by tensor (paper 2, Fig. 1) and the conflict μ (paper 3)."""

from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from alignment.double import double_device

Tensors = list[Tensor] | tuple[Tensor, ...]
"""What multi-tensor operations take and return."""


class Conflict(NamedTuple):
    """Inner products and norms of a clean and an adversarial gradient, one per parameter tensor, in float64.

    Everything else follows from them, on their device and without waiting for it. A zero gradient has no
    direction: its cosine is 0. What is not finite gives NaN.
    """

    inner_products: Float64[Tensor, " T"]
    clean_norms: Float64[Tensor, " T"]
    adversarial_norms: Float64[Tensor, " T"]

    @property
    def cosines(self) -> Float64[Tensor, " T"]:
        """cos(g_n, g_a) of every tensor, in [-1, 1]: paper 2, Definition 3.1."""
        return cosine_of(self.inner_products, self.clean_norms * self.adversarial_norms)

    @property
    def opposed(self) -> Float64[Tensor, ""]:
        """Share of tensors with a negative cosine: paper 2's GOP frequency."""
        return (self.inner_products < 0).double().mean()

    @property
    def cosine(self) -> Float64[Tensor, ""]:
        """φ = cos(g_n, g_a) of all parameters as one vector, in [-1, 1]: paper 3, Eq. 4."""
        return cosine_of(self.inner_products.sum(), self.clean_norm * self.adversarial_norm)

    @property
    def clean_norm(self) -> Float64[Tensor, ""]:
        """‖g_n‖₂ of all parameters as one vector."""
        return torch.linalg.vector_norm(self.clean_norms)

    @property
    def adversarial_norm(self) -> Float64[Tensor, ""]:
        """‖g_a‖₂ of all parameters as one vector."""
        return torch.linalg.vector_norm(self.adversarial_norms)

    @property
    def mu(self) -> Float64[Tensor, ""]:
        """μ = ‖g_n‖ ‖g_a‖ (1 − cos(g_n, g_a)): paper 3, section 3."""
        return self.clean_norm * self.adversarial_norm * (1 - self.cosine)


def conflict(clean: list[Tensor], adversarial: list[Tensor]) -> Conflict:
    """Measure how far the gradients of the clean and of the adversarial loss disagree.

    Products of two entries are made in float32 and summed in float64, so that entries may be as small as 1e-18 and as
    large as 1e18, and differ that much from tensor to tensor. The device is not waited for.

    Args:
        clean: g_n, one tensor per parameter.
        adversarial: g_a, tensors of the same shapes.

    Example:
        >>> measured = conflict([torch.tensor([3.0, 4.0])], [torch.tensor([4.0, -3.0])])
        >>> float(measured.cosine), float(measured.mu)
        (0.0, 25.0)
    """
    clean, adversarial = summable(in_single(clean)), summable(in_single(adversarial))
    products = torch._foreach_mul(clean, adversarial)
    sums = torch.stack([product.sum(dtype=torch.float64) for product in products])
    return Conflict(sums, norms(clean), norms(adversarial))


def in_single(gradients: list[Tensor]) -> list[Tensor]:
    """The same in at least float32; nothing is copied where it is already."""
    return [gradient.to(torch.promote_types(gradient.dtype, torch.float32)) for gradient in gradients]


def norms(gradients: Tensors) -> Float64[Tensor, " T"]:
    """Euclidean norm of every tensor, summed in float64, where squares of float32 neither overflow nor underflow."""
    return torch.stack(torch._foreach_norm(summable(gradients), dtype=torch.float64))


def summable(gradients: Tensors) -> list[Tensor]:
    """The same where they can be summed in float64; nothing is copied where they lie there already."""
    return [gradient.to(double_device(gradient.device)) for gradient in gradients]


def cosine_of(inner_product: Tensor, lengths: Tensor) -> Tensor:
    """Inner products over products of lengths, in [-1, 1]; 0 where a length is."""
    return (inner_product / torch.where(lengths == 0, 1, lengths)).clamp(-1, 1)

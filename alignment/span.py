"""How much of a vector lies in a subspace, such as the tangent space of the data."""

import torch
from jaxtyping import Float
from torch import Tensor

from alignment.contracts import check_finite, check_floating
from alignment.similarity import Similarity


def share_in_span(v: Float[Tensor, "B *shape"], basis: Float[Tensor, "B K N"]) -> Similarity:
    """‖P v‖² / ‖v‖², with P the orthogonal projection onto the span of K vectors, sample by sample.

    With v = ∇ℓ and the tangent space of the data it is the part of the gradient on the manifold, and one minus it the
    part off it: the two parts that Srinivas, Bordt and Lakkaraju 2023 (arXiv 2305.19101) split perturbations into.
    A direction drawn at random has K / N on average.

    Args:
        v: vectors, `(B, *shape)`, of N numbers each.
        basis: orthonormal vectors, `(B, K, N)`.

    Returns:
        `value` in [0, 1], `(B,)`, 0 where v is zero; `valid`, `(B,)`, False there.

    Raises:
        ValueError: if they are no floating-point tensors or not finite, shapes do not fit, or a basis is not
            orthonormal to 1e-3.

    Example:
        >>> share_in_span(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]]))
        Similarity(value=tensor([0.3600, 0.0000]), valid=tensor([ True, False]))
    """
    for given, name in ((v, "v"), (basis, "basis")):
        check_floating(given, name)
        check_finite(given, name)
    flat = v.flatten(1)
    if basis.ndim != 3 or basis.shape[::2] != flat.shape:
        raise ValueError(
            f"`basis` should be of shape ({len(flat)}, K, {flat.shape[1]}), vectors like each of `v`. "
            f"Found {tuple(basis.shape)}."
        )
    apart = basis @ basis.mT - torch.eye(basis.shape[1], dtype=basis.dtype, device=basis.device)
    if apart.numel() and apart.abs().max() > 1e-3:
        raise ValueError(f"`basis` should be orthonormal. Found products off by {float(apart.abs().max()):.2g}.")
    largest = torch.linalg.vector_norm(flat, ord=float("inf"), dim=1)
    valid = largest > 0
    # In the type of the basis, divided by the largest entry first, so that no square overflows or vanishes.
    unit = (flat / torch.where(valid, largest, 1.0)[:, None]).to(torch.promote_types(basis.dtype, torch.float32))
    within = (basis.to(unit) @ unit[:, :, None]).square().sum(dim=(1, 2))
    share = within / torch.where(valid, unit.square().sum(dim=1), 1.0)
    return Similarity(share.clamp(0, 1), valid)

"""Cosine similarity with validity: a zero vector has no direction."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from alignment.contracts import check_floating, check_same_shape


class Similarity(NamedTuple):
    """Cosines per sample, and which of them compare two vectors that have a direction."""

    value: Float[Tensor, " B"]
    valid: Bool[Tensor, " B"]


def cosine_similarity(u: Float[Tensor, "B *shape"], v: Float[Tensor, "B *shape"]) -> Similarity:
    """Cosine of the angle between flattened vectors, sample by sample; sim(u, v) of paper 1, Theorem 1.

    Correct for magnitudes from 1e-20 to 1e15 in float32, because each vector is divided by its largest
    entry before its norm is taken. Half precision is computed in float32. Differentiable twice. What is not
    finite gives NaN, which is never hidden as invalid.

    Args:
        u: vectors, `(B, *shape)`.
        v: vectors of the same shape.

    Returns:
        `value` in [-1, 1], `(B,)`, exactly 0 where a vector is zero; `valid`, `(B,)`, False there.

    Raises:
        ValueError: if they are no floating-point tensors, or the shapes differ.

    Example:
        >>> cosine_similarity(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([[6.0, 8.0], [1.0, 0.0]]))
        Similarity(value=tensor([1., 0.]), valid=tensor([ True, False]))
    """
    check_floating(u, "u")
    check_floating(v, "v")
    check_same_shape(v, u, "v", "u")
    u, u_valid = _scaled_to_one(u)
    v, v_valid = _scaled_to_one(v)
    valid = u_valid & v_valid
    # A norm has no second derivative at zero, so it is taken of ones there, and not used.
    chosen = valid.unsqueeze(1)
    lengths = [torch.linalg.vector_norm(torch.where(chosen, w, 1.0), dim=1) for w in (u, v)]
    cosine = (u * v).sum(dim=1) / (lengths[0] * lengths[1])
    # 0, or NaN where the other vector is not finite.
    nothing = 0 * (u + v).sum(dim=1)
    value = torch.where(valid, cosine, nothing).clamp(-1, 1)
    return Similarity(value, valid | value.isnan())


def scaled_norm(u: Float[Tensor, "B *shape"]) -> Float[Tensor, " B"]:
    """Euclidean norm per sample, without overflow or underflow of the squares."""
    largest = _largest_entry(u)
    flat, _ = _scaled_to_one(u)
    return torch.linalg.vector_norm(flat, dim=1) * largest.to(flat.dtype)


def _scaled_to_one(u: Tensor) -> tuple[Tensor, Tensor]:
    """Flattened vectors divided by their largest entry, and which of them are not zero."""
    flat = u.flatten(1)
    flat = flat.to(torch.promote_types(flat.dtype, torch.float32))
    largest = _largest_entry(u).to(flat.dtype)
    valid = largest != 0
    # A cosine does not change with the scale, so the scale may be a constant of the graph.
    return flat / torch.where(valid, largest, 1.0).unsqueeze(1), valid


def _largest_entry(u: Tensor) -> Tensor:
    return torch.linalg.vector_norm(u.detach().flatten(1), ord=float("inf"), dim=1)

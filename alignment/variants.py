"""Variants of the alignment penalty: the best aligned of several classes, and a cosine that weighs pixels.

Both are future work of paper 1, section 4: Δx may have several solutions, and pixels may count differently.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_floating, check_labels, check_number
from alignment.gradients import gradient_of, pick
from alignment.penalty import alignment_penalty
from alignment.residuals import Residual, check_residual, residuals_of
from alignment.similarity import cosine_similarity
from alignment.slopes import check_batch, minus_mean, of_nothing, slope_of, variable_and_logits


def lenient_alignment_penalty(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    residuals: Float[Tensor, "B K *shape"],
    targets: Int[Tensor, "B K"],
    *,
    logits: Float[Tensor, "B C"] | None = None,
) -> Float[Tensor, ""]:
    """−mean over the batch of max_k sim( Δ̂x(x, c_k), ∇ℓ_k(x) ), where ℓ_k = logit_{c_k} − logit_y.

    A sample is asked to be aligned with one of several classes, whichever it is aligned with best; with one class it
    is `alignment_penalty`. Which one is found by K first gradients, and only that of the best is differentiated
    again: the derivative of a maximum is that of what attains it. Modes and errors are those of `alignment_penalty`.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        x: inputs, `(B, *shape)`.
        y: true classes, `(B,)` int64.
        residuals: Δ̂x to each class, `(B, K, *shape)`.
        targets: the classes, `(B, K)` int64 in [0, C), such as `closest_classes` returns; the first of equals counts.
        logits: of `x`, where they are already known; `x` must then ask for a gradient.

    Returns:
        A number in [-1, 1] with a graph; 0 without samples. Directions that are zero are never the best; samples
        without any direction count neither in the sum nor in the number.

    Raises:
        ValueError: as `alignment_penalty`, or if there are not as many residuals as targets.
    """
    check_batch(classifier, x, y)
    _check_several(x, residuals, targets)
    if not len(x):
        return of_nothing(x, logits)
    x, logits = variable_and_logits(classifier, x, logits)
    best = _best_aligned(x, y, residuals, targets, logits)
    rows = torch.arange(len(x), device=x.device)
    return alignment_penalty(classifier, x, y, residuals[rows, best], logits=logits, target=targets[rows, best])


def weighted_alignment_penalty(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    residual: Residual | Tensor,
    *,
    power: float = 1.0,
    threshold: float = 0.0,
    logits: Float[Tensor, "B C"] | None = None,
    target: Int[Tensor, " B"] | None = None,
    **closest: Any,
) -> Float[Tensor, ""]:
    """−mean sim_w( Δ̂x, ∇ℓ ), a cosine in the diagonal metric w of `pixel_weights`, a function of Δ̂x.

    sim_w(u, v) = Σ w_i u_i v_i / √( Σ w_i u_i² · Σ w_i v_i² ), the cosine of √w·u and √w·v. Where w is 0 the gradient
    may be anything; w = 1 everywhere is `alignment_penalty`. Modes and errors are those of `alignment_penalty`.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        x: inputs, `(B, *shape)`.
        y: true classes, `(B,)` int64.
        residual: an estimator `(x, y, target) → Δ̂x`, or the residuals to c̃(x), `(B, *shape)`.
        power: see `pixel_weights`.
        threshold: see `pixel_weights`.
        logits: of `x`, where they are already known; `x` must then ask for a gradient.
        target: c̃(x), `(B,)` int64 in [0, C), where it is already known.
        closest: `candidates` and `signed` of `closest_class`.
    """
    check_residual(residual)
    check_batch(classifier, x, y)
    if not len(x):
        return of_nothing(x, logits)
    slope, target = slope_of(classifier, x, y, logits, target=target, **closest)
    residual = residuals_of(residual, x, y, target)
    scale = pixel_weights(residual, power=power, threshold=threshold).sqrt()
    return minus_mean(cosine_similarity(scale * residual, scale * slope))


def pixel_weights(
    residual: Float[Tensor, "B *shape"], *, power: float = 1.0, threshold: float = 0.0
) -> Float[Tensor, "B *shape"]:
    """How much each pixel counts: w = s^p where s ≥ θ and 0 elsewhere, with s = |Δ̂x| / max |Δ̂x| of the sample.

    A cosine does not change with the scale of w. The power 0 with θ > 0 is the mask of the pixels in which Δ̂x is not
    small, and with θ = 0 it is 1 everywhere.

    Args:
        residual: Δ̂x, `(B, *shape)`.
        power: p ≥ 0.
        threshold: θ in [0, 1], as a share of the largest |Δ̂x| of the sample.

    Returns:
        Weights in [0, 1], `(B, *shape)`, at least one of them 1 in each sample whose Δ̂x is not zero.

    Raises:
        ValueError: if Δ̂x is no floating-point tensor, p is below 0 or not finite, or θ lies outside of [0, 1].

    Example:
        >>> pixel_weights(torch.tensor([[2.0, -1.0, 0.0]])), pixel_weights(torch.tensor([[2.0, -1.0]]), power=0.0)
        (tensor([[1.0000, 0.5000, 0.0000]]), tensor([[1., 1.]]))
    """
    check_floating(residual, "residual")
    check_pixel_weights(power, threshold)
    size = residual.detach().abs()
    largest = size.flatten(1).amax(dim=1) if size.numel() else size.new_ones(len(size))
    share = size / torch.where(largest > 0, largest, 1.0).reshape(-1, *[1] * (size.ndim - 1))
    return torch.where(share >= threshold, share.pow(power), 0.0)


def check_pixel_weights(power: float, threshold: float) -> None:
    """Refuse a power or a threshold that `pixel_weights` cannot take."""
    check_number(power, "power", "be finite and at least 0", lambda value: 0 <= value < torch.inf)
    check_number(threshold, "threshold", "lie in [0, 1]", lambda value: 0 <= value <= 1)


def _check_several(x: Tensor, residuals: Any, targets: Any) -> None:
    """Refuse residuals that are not one per sample and target."""
    check_floating(residuals, "residuals")
    if not isinstance(targets, Tensor) or targets.ndim != 2 or len(targets) != len(x) or not targets.shape[1]:
        found = tuple(targets.shape) if isinstance(targets, Tensor) else type(targets).__name__
        raise ValueError(f"`targets` should have shape ({len(x)}, K) with K ≥ 1. Found {found}.")
    expected = (*targets.shape, *x.shape[1:])
    if residuals.shape != expected:
        raise ValueError(
            f"`residuals` should have the shape of `targets` and one `x`, {expected}. Found {tuple(residuals.shape)}."
        )


def _best_aligned(x: Tensor, y: Tensor, residuals: Tensor, targets: Tensor, logits: Tensor) -> Int[Tensor, " B"]:
    """Which of the classes each sample is aligned with best; nothing of it has a graph."""
    check_labels(y, len(x), logits.shape[1])
    if targets.shape[1] == 1:
        return torch.zeros_like(y)
    cosines = []
    for target, residual in zip(targets.unbind(1), residuals.unbind(1), strict=True):
        check_labels(target, len(x), logits.shape[1], "targets")
        slope = gradient_of(pick(logits, target) - pick(logits, y), x, keep=True)
        value, valid = cosine_similarity(residual.detach(), slope)
        cosines.append(torch.where(valid, value, -2.0))
    return torch.stack(cosines, dim=1).argmax(dim=1)

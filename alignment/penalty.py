"""Penalties on ∇ℓ: on its direction, L_α of paper 1, Eq. 9, and on its length, which is the control for L_α."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.candidates import Candidates
from alignment.residuals import Residual, check_residual, residuals_of
from alignment.similarity import cosine_similarity, scaled_norm
from alignment.slopes import check_batch, minus_mean, of_nothing, slope_of


def alignment_penalty(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    residual: Residual | Tensor,
    *,
    candidates: Candidates = None,
    signed: bool = False,
    logits: Float[Tensor, "B C"] | None = None,
    target: Int[Tensor, " B"] | None = None,
) -> Float[Tensor, ""]:
    """−mean sim( Δ̂x, ∇ℓ(x) ) over the batch, with a graph to the weights (Eq. 9 without its λ_α).

    The gradient of a gradient is taken: ∇ℓ carries a graph, while Δ̂x and c̃(x) are constants. ∇ℓ is taken in the
    mode the classifier is in, so that the logits can be shared with the classification loss; c̃(x), with more
    than two classes, in evaluation mode. Samples without a direction count neither in the sum nor in the number.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        x: inputs, `(B, *shape)`.
        y: true classes, `(B,)` int64.
        residual: an estimator `(x, y, target) → Δ̂x`, or the residuals to c̃(x), `(B, *shape)`.
        candidates: see `closest_class`.
        signed: see `closest_class`.
        logits: of `x`, where they are already known; `x` must then have asked for a gradient before they were
            computed. Saves one forward pass.
        target: c̃(x), `(B,)` int64 in [0, C), where it is already known. Saves finding it.

    Returns:
        A number in [-1, 1] with a graph; 0 without samples, which the classifier is not shown.

    Raises:
        ValueError: if x is no floating-point tensor, `logits` is given and `x` does not ask for a gradient, labels
            are no int64 or out of range, residuals have another shape than x, or the classifier has no second
            derivatives, as fused attention and what torch.compile makes; the remedy is named.
    """
    check_residual(residual)
    check_batch(classifier, x, y)
    if not len(x):
        return of_nothing(x, logits)
    slope, target = slope_of(classifier, x, y, logits, candidates=candidates, signed=signed, target=target)
    return minus_mean(cosine_similarity(residuals_of(residual, x, y, target), slope))


def gradient_norm_penalty(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    *,
    candidates: Candidates = None,
    signed: bool = False,
    logits: Float[Tensor, "B C"] | None = None,
    target: Int[Tensor, " B"] | None = None,
) -> Float[Tensor, ""]:
    """Mean ‖∇ℓ(x)‖₂ over the batch, with a graph to the weights: the control for `alignment_penalty`.

    Both act on the gradient of the same ℓ (paper 1, Eq. 6), L_α on its direction alone, whatever its length, and this
    one on its length alone, whatever its direction. So what L_α gains over it is owed to the direction. After double
    backpropagation (Drucker and LeCun 1992), which squares the norm. Arguments, errors and modes are those of
    `alignment_penalty`.

    Returns:
        A number of at least 0 with a graph, in logits per unit of the input; 0 without samples, which the classifier
        is not shown. A gradient that is zero counts as 0, and is not moved.
    """
    check_batch(classifier, x, y)
    if not len(x):
        return of_nothing(x, logits)
    slope, _ = slope_of(classifier, x, y, logits, candidates=candidates, signed=signed, target=target)
    return scaled_norm(slope).mean()

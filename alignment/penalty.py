"""The alignment penalty L_α: paper 1, Eq. 9."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.candidates import Candidates
from alignment.closest_class import closest_class
from alignment.contracts import check_classifier, check_floating, check_label_form, check_labels
from alignment.gradients import as_variable, gradient_of, logits_of, pick
from alignment.residuals import Residual, check_residual, residuals_of
from alignment.second_order import check_second_derivative
from alignment.similarity import cosine_similarity


def alignment_penalty(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    residual: Residual | Tensor,
    *,
    candidates: Candidates = None,
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
    check_floating(x, "x")
    check_label_form(y, len(x))
    check_classifier(classifier)
    check_residual(residual)
    if not len(x):
        return (as_variable(x) if logits is None else logits).sum()
    if logits is None:
        x = as_variable(x)
        logits = logits_of(classifier, x)
    elif not x.requires_grad:
        raise ValueError("`x` should ask for a gradient when `logits` is given. Found requires_grad=False.")
    check_labels(y, len(x), logits.shape[1])
    if target is None:
        target = 1 - y if logits.shape[1] == 2 else closest_class(classifier, x, y, candidates=candidates)
    check_labels(target, len(x), logits.shape[1], "target")
    direction = residuals_of(residual, x, y, target)
    slope = gradient_of(pick(logits, target) - pick(logits, y), x, create_graph=True)
    check_second_derivative(slope)
    value, valid = cosine_similarity(direction, slope)
    return -value.sum() / valid.sum().clamp(min=1)

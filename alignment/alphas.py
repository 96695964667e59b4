"""α_Δx (paper 1, Eq. 8) and α_x (Eq. 18), per sample."""

from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.candidates import Candidates
from alignment.closest_class import closest_class
from alignment.contracts import (
    check_choice,
    check_finite,
    check_floating,
    check_label_form,
    check_labels,
)
from alignment.double import double_device, exactly
from alignment.gradients import evaluating, input_gradient, logits_of
from alignment.precision import exact
from alignment.residuals import Residual, check_residual, residuals_of
from alignment.similarity import Similarity, cosine_similarity

Differentiated = Literal["closest_to_true", "closest_to_predicted", "true", "predicted"]
"""What is differentiated, the columns of paper 1's Table S2, in its order.

`logit_c̃ − logit_y`, `logit_c* − logit_m(x)`, `logit_y`, `logit_m(x)`.
"""


class Closest(NamedTuple):
    """How the closest class is found, see `closest_class`."""

    candidates: Candidates
    signed: bool


def alpha_dx(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    residual: Residual | Tensor,
    *,
    target: Int[Tensor, " B"] | None = None,
    of: Differentiated = "closest_to_true",
    candidates: Candidates = None,
    signed: bool = False,
) -> Float[Tensor, " B"]:
    """sim( Δ̂x(x, c̃), ∇ℓ(x) ), the alignment with the closest point of the closest class (Eq. 8), per sample.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`; used in evaluation mode and left as found.
        x: inputs in the data's own range, `(B, *shape)`.
        y: true classes, `(B,)` int64.
        residual: an estimator `(x, y, target) → Δ̂x`, or the residuals themselves, `(B, *shape)`.
        target: the class Δ̂x points to; None for c̃(x).
        of: what is differentiated. The single logits enter with the sign they have in ℓ, so −∇logit_y, and
            a positive value always means that the gradient points to the other class.
        candidates: see `closest_class`.
        signed: take c̃(x) as the authors' program does, see `closest_class`; c*(x) is the same in both forms.

    Returns:
        Cosines in [-1, 1], `(B,)`; 0 where the gradient or the residual is zero. `AlphaDx` leaves those out
        of its mean and counts them.

    Raises:
        ValueError: if x is no floating-point tensor, x, the logits, their gradient or the residuals hold NaN, shapes
            differ, labels are no int64 or out of range, or residuals are given as a tensor for more than two classes
            without saying which class they point to.
    """
    return alignment_with_residual(classifier, x, y, residual, target, of, Closest(candidates, signed)).value


def alpha_x(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"] | None = None,
    *,
    of: Differentiated = "predicted",
    candidates: Candidates = None,
    signed: bool = False,
) -> Float[Tensor, " B"]:
    """|sim( x, ∇logit(x)_m(x) )|, the alignment with the image itself (Eq. 18, after Etmann et al. 2019).

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`; used in evaluation mode and left as found.
        x: inputs in the data's own range, `(B, *shape)`.
        y: true classes, `(B,)` int64; needed by "true" and "closest_to_true".
        of: what is differentiated, the columns of Table S2; the default is the paper's.
        candidates: see `closest_class`.
        signed: take c̃(x) as the authors' program does, see `closest_class`; c*(x) is the same in both forms.

    Returns:
        Cosines in [0, 1], `(B,)`; 0 where the gradient or the image is zero.

    Raises:
        ValueError: if x is no floating-point tensor, x, the logits or their gradient hold NaN, labels are no int64 or
            out of range, or `y` is missing where it is needed.
    """
    return alignment_with_image(classifier, x, y, of, Closest(candidates, signed)).value


def alpha_dx_other_classes(
    classifier: nn.Module, x: Float[Tensor, "B *shape"], y: Int[Tensor, " B"], residual: Residual
) -> Float[Tensor, " B"]:
    """α_Δx averaged over every class c ≠ y in place of c̃(x): paper 1, Table 7, row "Other".

    Args and errors are those of `alpha_dx`; c̃(x) itself is not looked for, and so its form does not matter. Samples
    and classes without a direction count as 0.
    """
    check_floating(x, "x")
    check_label_form(y, len(x))
    if not len(x):
        return alpha_dx(classifier, x, y, residual)
    classes = _checked_logits(classifier, x).shape[1]
    total = torch.zeros(len(x), dtype=torch.float64, device=double_device(x.device))
    for step in range(1, classes):
        total += exactly(alpha_dx(classifier, x, y, residual, target=(y + step) % classes))
    return (total / (classes - 1)).to(torch.promote_types(x.dtype, torch.float32)).to(x.device)


@exact()
def alignment_with_residual(
    classifier: nn.Module,
    x: Tensor,
    y: Tensor,
    residual: Residual | Tensor,
    target: Tensor | None,
    of: Differentiated,
    closest: Closest,
) -> Similarity:
    """α_Δx per sample, and which samples have a direction; arguments are those of `alpha_dx`."""
    check_floating(x, "x")
    check_choice(of, get_args(Differentiated), "of")
    check_label_form(y, len(x))
    check_residual(residual)
    if not len(x):
        return _no_cosines(x)
    logits = _checked_logits(classifier, x)
    check_labels(y, len(x), logits.shape[1])
    if isinstance(residual, Tensor) and target is None and logits.shape[1] > 2:
        raise ValueError(
            f"`target` should name the class that `residual` points to when there are {logits.shape[1]} "
            "classes and `residual` is a tensor. Found None."
        )
    if target is None:
        target = closest_class(classifier, x, y, **closest._asdict())
    check_labels(target, len(x), logits.shape[1], "target")
    direction = residuals_of(residual, x, y, target)
    check_finite(direction, "residual")
    gradient = _gradient(classifier, x, y, of, closest, logits, target)
    sign = -1 if of in ("true", "predicted") else 1
    return cosine_similarity(direction, sign * gradient)


@exact()
def alignment_with_image(
    classifier: nn.Module, x: Tensor, y: Tensor | None, of: Differentiated, closest: Closest
) -> Similarity:
    """α_x per sample, and which samples have a direction; arguments are those of `alpha_x`."""
    check_floating(x, "x")
    check_choice(of, get_args(Differentiated), "of")
    if y is not None:
        check_label_form(y, len(x))
    if not len(x):
        return _no_cosines(x)
    logits = _checked_logits(classifier, x)
    if y is not None:
        check_labels(y, len(x), logits.shape[1])
    value, valid = cosine_similarity(x.detach(), _gradient(classifier, x, y, of, closest, logits))
    return Similarity(value.abs(), valid)


def _gradient(
    classifier: nn.Module,
    x: Tensor,
    y: Tensor | None,
    of: Differentiated,
    closest: Closest,
    logits: Tensor,
    target: Tensor | None = None,
) -> Tensor:
    """The gradient that one of the four forms compares with a direction."""
    predicted = logits.argmax(dim=1)
    left = predicted if of in ("predicted", "closest_to_predicted") else y
    if left is None:
        raise ValueError(f"`y` should be given when `of` is {of!r}. Found None.")
    if of in ("predicted", "true"):
        return input_gradient(classifier, x, left)
    if of == "closest_to_predicted" or target is None:
        target = closest_class(classifier, x, left, **closest._asdict())
    return input_gradient(classifier, x, target, left)


def _no_cosines(x: Tensor) -> Similarity:
    """Of no samples, which the classifier is not shown."""
    return Similarity(x.new_zeros(0), torch.zeros(0, dtype=torch.bool, device=x.device))


def _checked_logits(classifier: nn.Module, x: Tensor) -> Tensor:
    check_finite(x, "x")
    with evaluating(classifier), torch.no_grad():
        logits = logits_of(classifier, x)
    check_finite(logits, "classifier(x)")
    return logits

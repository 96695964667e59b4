"""The closest class in decision space, linearised: paper 1, Lemma 1 and Eqs. 3 to 5."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.candidates import Candidates, candidates_of
from alignment.contracts import (
    check_counts,
    check_finite,
    check_floating,
    check_gradient,
    check_label_form,
    check_labels,
)
from alignment.gradients import as_variable, differentiable, evaluating, gradient_of, logits_of, pick
from alignment.similarity import scaled_norm


def linearised_radii(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    *,
    candidates: Candidates = None,
    signed: bool = False,
) -> Float[Tensor, "B C"]:
    """ρ(x)_c = |logit(x)_y − logit(x)_c| / ‖∇logit(x)_y − ∇logit(x)_c‖₂ for every class c (Eq. 4).

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`; used in evaluation mode and left as found.
        x: inputs, `(B, *shape)`.
        y: the class that is left, `(B,)` int64 in [0, C).
        candidates: only the k classes whose logits are closest to that of `y`, which for a correct sample are
            the k largest besides it. "all", or k = C − 1, is exact; so is None for up to 25 classes, and for more
            it takes 24. It costs one backward pass per candidate, one after the other, and the memory of one.
        signed: leave out the absolute value, as the authors' program does: negative for a class that
            already wins over `y`.

    Returns:
        Radii in the input's own L2 units, `(B, C)`: inf at `y` and at classes that are not candidates; the
        largest finite number where two logits have the same gradient and so no boundary between them. Without
        samples, `(0, 0)`: the classifier is not asked how many classes there are.

    Raises:
        ValueError: if x is no floating-point tensor, labels are no int64 or outside [0, C), `candidates` lies outside
            [1, C − 1], or a logit or gradient is not finite.
    """
    check_floating(x, "x")
    check_label_form(y, len(x))
    if not len(x):
        return x.new_zeros(0, 0)
    with evaluating(classifier), differentiable():
        variable = as_variable(x)
        logits = logits_of(classifier, variable)
        classes = logits.shape[1]
        check_labels(y, len(x), classes)
        count = candidates_of(candidates, classes) or classes - 1
        check_finite(logits.detach(), "classifier(x)")
        ranked = _others(logits.detach(), y, signed)[:, :count]
        radii = torch.full_like(logits, torch.inf, requires_grad=False)
        for k in range(ranked.shape[1]):
            margin = pick(logits, y) - pick(logits, ranked[:, k])
            gradient = gradient_of(margin, variable, keep=k + 1 < ranked.shape[1])
            check_gradient(gradient)
            slope = scaled_norm(gradient)
            radius = margin.detach() if signed else margin.detach().abs()
            radius = torch.where(slope == 0, torch.inf, radius / slope).clamp(max=torch.finfo(radius.dtype).max)
            radii.scatter_(1, ranked[:, k : k + 1], radius.unsqueeze(1))
    return radii


def closest_class(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    *,
    candidates: Candidates = None,
    signed: bool = False,
) -> Int[Tensor, " B"]:
    """c̃(x) = argmin over c ≠ y of ρ(x)_c (Eq. 5); with the predicted class as `y` it is c*(x) of Theorem 1.

    With two classes it is the other one, and no gradient is computed.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`; used in evaluation mode and left as found.
        x: inputs, `(B, *shape)`.
        y: the class that is left, `(B,)` int64 in [0, C).
        candidates: only the k classes whose logits are closest to that of `y`; "all" is exact, and so is None for
            up to 25 classes, while for more it takes 24.
        signed: the authors' form, in which a class that already wins comes first.

    Returns:
        The closest class per sample, `(B,)` int64. Of equally close classes the one with the smallest
        number.

    Raises:
        ValueError: if x is no floating-point tensor, labels are no int64 or outside [0, C), `candidates` lies outside
            [1, C − 1], or a logit or gradient is not finite.
    """
    return closest_classes(classifier, x, y, candidates=candidates, signed=signed).squeeze(1)


def closest_classes(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    *,
    count: int = 1,
    candidates: Candidates = None,
    signed: bool = False,
) -> Int[Tensor, "B K"]:
    """The classes with the smallest ρ(x)_c (Eq. 4), closest first; `closest_class` is the first of them.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`; used in evaluation mode and left as found.
        x: inputs, `(B, *shape)`.
        y: the class that is left, `(B,)` int64 in [0, C).
        count: how many, at least 1; all others where there are fewer.
        candidates: see `closest_class`; at least `count`.
        signed: see `closest_class`.

    Returns:
        Classes, `(B, K)` int64 with K = min(count, C − 1); `(0, count)` without samples. Of equally close classes the
        one with the smaller number comes first.

    Raises:
        ValueError: as `closest_class`, or for fewer candidates than are asked for.
    """
    check_floating(x, "x")
    check_label_form(y, len(x))
    check_counts(1, count=count)
    if not len(x):
        return y.new_zeros(0, count)
    with evaluating(classifier), torch.no_grad():
        classes = logits_of(classifier, x[:1]).shape[1]
    check_labels(y, len(x), classes)
    if classes == 2:
        return 1 - y.unsqueeze(1)
    wanted = min(count, classes - 1)
    if wanted > (candidates_of(candidates, classes) or classes - 1):
        raise ValueError(
            f"`candidates` should be at least the {wanted} classes that are asked for. Found {candidates}."
        )
    radii = linearised_radii(classifier, x, y, candidates=candidates, signed=signed)
    return radii.argmin(dim=1, keepdim=True) if wanted == 1 else radii.argsort(dim=1, stable=True)[:, :wanted]


def _others(logits: Tensor, y: Tensor, signed: bool) -> Tensor:
    """Classes other than `y`, smallest margin (or absolute margin) first, `(B, C − 1)`."""
    margins = logits.gather(1, y.unsqueeze(1)) - logits
    margins = margins if signed else margins.abs()
    return margins.scatter(1, y.unsqueeze(1), torch.inf).argsort(dim=1)[:, :-1]

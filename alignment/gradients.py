"""Gradients of logits with respect to the input, taken without leaving a trace on the classifier."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import (
    check_classifier,
    check_finite,
    check_floating,
    check_gradient,
    check_label_form,
    check_labels,
)
from alignment.logits import logits_of

__all__ = [
    "as_variable",
    "differentiable",
    "evaluating",
    "gradient_of",
    "input_gradient",
    "logits_of",
    "pick",
]


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module in evaluation mode; afterwards every submodule has the mode it had before.

    Raises:
        ValueError: if it is no module.
    """
    check_classifier(module)
    # A frozen program of TorchScript has no mode.
    modes = [(part, part.training) for part in module.modules() if hasattr(part, "training")]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@contextmanager
def differentiable() -> Iterator[None]:
    """Allow gradients, also inside `torch.no_grad` and `torch.inference_mode` (Lightning's default)."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def as_variable(x: Float[Tensor, "B *shape"]) -> Float[Tensor, "B *shape"]:
    """The same values as a leaf that asks for a gradient."""
    return (x.clone() if x.is_inference() else x).detach().requires_grad_()


def gradient_of(
    scores: Float[Tensor, "B ..."],
    x: Float[Tensor, "B *shape"],
    *,
    along: Float[Tensor, "B ..."] | None = None,
    create_graph: bool = False,
    keep: bool = False,
) -> Float[Tensor, "B *shape"]:
    """Gradient of each sample's score with respect to that sample's input.

    Args:
        scores: one number per sample, computed from `x`; or several, such as logits, of which the sum counts.
        x: a variable (a tensor that asks for a gradient).
        along: what each score counts in the sum; None for 1.
        create_graph: whether the gradient can be differentiated again.
        keep: whether the graph is needed for a further gradient.

    Raises:
        ValueError: if the scores have no graph to `x`, as when a classifier detaches its input.
    """
    gradient = None
    if scores.requires_grad:
        (gradient,) = torch.autograd.grad(
            scores,
            x,
            torch.ones_like(scores) if along is None else along,
            create_graph=create_graph,
            retain_graph=keep or create_graph,
            allow_unused=True,
        )
    if gradient is None:
        raise ValueError(
            "`classifier` should be differentiable with respect to its input. Found logits without a graph to it."
        )
    return gradient


def pick(logits: Float[Tensor, "B C"], classes: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
    """`logit(x)_c`, one class per sample."""
    classes = classes.clone() if classes.is_inference() else classes
    return logits.gather(1, classes.unsqueeze(1)).squeeze(1)


def input_gradient(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    plus: Int[Tensor, " B"],
    minus: Int[Tensor, " B"] | None = None,
) -> Float[Tensor, "B *shape"]:
    """∇ₓ( logit(x)_plus − logit(x)_minus ), or ∇ₓ logit(x)_plus; with (c̃, y) it is ∇ℓ of paper 1, Eq. 6.

    The classifier is used in evaluation mode and left as it was found.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        x: inputs, `(B, *shape)`.
        plus: class whose logit is added, `(B,)` int64.
        minus: class whose logit is subtracted, `(B,)` int64.

    Returns:
        The gradients, `(B, *shape)`, without a graph.

    Raises:
        ValueError: if x is no floating-point tensor or not finite, the classifier is not differentiable, returns no
            logits or has a gradient that is not finite, or classes are no int64 or out of range.
    """
    check_floating(x, "x")
    for classes, name in ((plus, "plus"), (minus, "minus")):
        if classes is not None or name == "plus":
            check_label_form(classes, len(x), name)
    check_finite(x, "x")
    if not len(x):
        return x.detach().clone()
    with evaluating(classifier), differentiable():
        variable = as_variable(x)
        logits = logits_of(classifier, variable)
        for classes, name in ((plus, "plus"), (minus, "minus")):
            if classes is not None:
                check_labels(classes, len(x), logits.shape[1], name)
        score = pick(logits, plus) if minus is None else pick(logits, plus) - pick(logits, minus)
        gradient = gradient_of(score, variable)
    check_gradient(gradient)
    return gradient

"""∇ℓ with a graph to the weights, from which penalties are made, and what all of them ask of a batch."""

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.closest_class import closest_class
from alignment.contracts import check_classifier, check_floating, check_label_form, check_labels
from alignment.gradients import as_variable, gradient_of, logits_of, pick
from alignment.second_order import check_second_derivative
from alignment.similarity import Similarity


def check_batch(classifier: nn.Module, x: Float[Tensor, "B *shape"], y: Int[Tensor, " B"]) -> None:
    """Refuse what is no classifier, or no batch with its labels."""
    check_floating(x, "x")
    check_label_form(y, len(x))
    check_classifier(classifier)


def of_nothing(x: Tensor, logits: Tensor | None) -> Float[Tensor, ""]:
    """The penalty of no samples: 0, with a graph."""
    return (as_variable(x) if logits is None else logits).sum()


def variable_and_logits(
    classifier: nn.Module, x: Float[Tensor, "B *shape"], logits: Float[Tensor, "B C"] | None
) -> tuple[Float[Tensor, "B *shape"], Float[Tensor, "B C"]]:
    """An input that asks for a gradient, and the logits there, made only where they are not known.

    Raises:
        ValueError: if they are known and the input does not ask for a gradient.
    """
    if logits is None:
        x = as_variable(x)
        return x, logits_of(classifier, x)
    if not x.requires_grad:
        raise ValueError("`x` should ask for a gradient when `logits` is given. Found requires_grad=False.")
    return x, logits


def slope_of(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    logits: Float[Tensor, "B C"] | None,
    *,
    target: Int[Tensor, " B"] | None,
    **closest: Any,
) -> tuple[Float[Tensor, "B *shape"], Int[Tensor, " B"]]:
    """∇ℓ (Eq. 6) with a graph to the weights, and c̃(x), found with the options `closest` where it is not known."""
    x, logits = variable_and_logits(classifier, x, logits)
    check_labels(y, len(x), logits.shape[1])
    if target is None:
        target = 1 - y if logits.shape[1] == 2 else closest_class(classifier, x, y, **closest)
    check_labels(target, len(x), logits.shape[1], "target")
    slope = gradient_of(pick(logits, target) - pick(logits, y), x, create_graph=True)
    check_second_derivative(slope)
    return slope, target


def minus_mean(similarity: Similarity) -> Float[Tensor, ""]:
    """−mean over the samples that have a direction, 0 without any."""
    value, valid = similarity
    return -value.sum() / valid.sum().clamp(min=1)

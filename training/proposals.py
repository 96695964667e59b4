"""What happens once around every attack: an attack only proposes.

Inputs, labels, norm and strength are checked, the classifier is in evaluation mode meanwhile, its first logits are
checked against the labels, and what is proposed is moved back into ball and bounds.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from alignment.contracts import check_choice, check_finite, check_inputs, check_label_form, check_labels
from alignment.deferral import refuse_if, together
from alignment.gradients import differentiable, evaluating, logits_of
from training.balls import BALLS, Ball, Distance


class CheckedLogits:
    """The logits of a classifier; the first ones should be finite, and go with the labels.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        y: classes of the batch that is shown first, `(B,)`.
    """

    def __init__(self, classifier: nn.Module, y: Int[Tensor, " B"]) -> None:
        self.classifier, self.y, self.checked = classifier, y, False

    def __call__(self, x: Float[Tensor, "B *shape"]) -> Float[Tensor, "B C"]:
        """Logits.

        Raises:
            ValueError: for labels out of range or logits that are not finite, the first time.
        """
        logits = logits_of(self.classifier, x)
        if not self.checked:
            with together():
                check_labels(self.y, len(self.y), logits.shape[1])
                check_finite(logits.detach(), "classifier(x)")
            self.checked = True
        return logits


@dataclass(frozen=True)
class Task:
    """What an attack works on; everything is checked.

    Attributes:
        logits: of the classifier.
        x: inputs within the bounds, `(B, *shape)`.
        y: true classes, `(B,)`.
        strength: one number per sample, `(B,)`; infinite for an attack that takes none.
        bounds: lowest and highest legal value of an input.
        ball: of radius `strength`; None where strength is no radius.
    """

    logits: CheckedLogits
    x: Float[Tensor, "B *shape"]
    y: Int[Tensor, " B"]
    strength: Float[Tensor, " B"]
    bounds: tuple[float, float]
    ball: Ball | None

    def __getitem__(self, chosen: Tensor) -> "Task":
        """The same for some of the samples."""
        ball = None if self.ball is None else self.ball[chosen]
        return replace(self, x=self.x[chosen], y=self.y[chosen], strength=self.strength[chosen], ball=ball)

    def correct(self, points: Float[Tensor, "B *shape"]) -> Bool[Tensor, " B"]:
        """Which points are in the true class."""
        return self.constant_logits(points).argmax(dim=1) == self.y

    def constant_logits(self, points: Float[Tensor, "B *shape"]) -> Float[Tensor, "B C"]:
        """Logits without a graph."""
        with torch.no_grad():
            return self.logits(points)

    def settled(self, points: Float[Tensor, "B *shape"]) -> Float[Tensor, "B *shape"]:
        """The points, moved back into ball and bounds where they left them."""
        points = points.detach()
        return points.clamp(*self.bounds) if self.ball is None else self.ball.projected(points)


def settled(
    propose: Callable[[Task], Tensor],
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    strength: float | Float[Tensor, " B"] | None,
    *,
    norm: Distance | None,
    norms: tuple[Distance | None, ...],
    bounds: tuple[float, float],
    name: str | None = "strength",
    setting: AbstractContextManager[None] | None = None,
) -> Float[Tensor, "B *shape"]:
    """Check the arguments of an attack, let it propose points, and move them into ball and bounds.

    The classifier is left as it was found, is never shown an empty batch, and is in evaluation mode meanwhile.

    Args:
        propose: the attack: from a task of at least one sample to points, `(B, *shape)`.
        classifier: from `(B, *shape)` to logits `(B, C)`.
        x: inputs within the bounds, `(B, *shape)`.
        y: true classes, `(B,)` int64 in [0, C).
        strength: radius of the ball, one number or one per sample.
        norm: of the ball; None where strength is no radius.
        norms: those that the attack knows.
        bounds: lowest and highest legal value of an input.
        name: what the attack calls its strength; None for an attack that takes none.
        setting: what the attack needs around it, such as `torch.no_grad()` for a black box.

    Raises:
        ValueError: naming the argument that cannot be used, see the attacks.
    """
    check_choice(norm, norms, "norm")
    with together():
        check_inputs(x, bounds)
        check_label_form(y, len(x))
        values = x.new_full((len(x),), torch.inf) if name is None else per_sample(strength, x, name)
        if name is not None and norm is not None:
            check_finite(values, name)
    if not len(x):
        return x.detach().clone()
    with evaluating(classifier), differentiable(), setting or nullcontext():
        # Copies, because what was made in inference mode cannot take part in a gradient.
        x, y, values = (value.detach().clone() for value in (x, y, values))
        ball = None if name is None or norm is None or norm == "L0" else BALLS[norm](x, values, bounds)
        task = Task(CheckedLogits(classifier, y), x, y, values, bounds, ball)
        return task.settled(propose(task))


def per_sample(strength: Any, x: Tensor, name: str) -> Float[Tensor, " B"]:
    """A strength as one number per sample.

    Raises:
        ValueError: if it is negative, NaN, or not one number or one per sample.
    """
    given = numeric(strength, name)
    # A number is filled in where x is, since to copy it there would make a GPU wait.
    values = given.to(x) if isinstance(given, Tensor) else x.new_full((), float(given))
    if values.ndim > 1 or (values.ndim == 1 and len(values) != len(x)):
        raise ValueError(
            f"`{name}` should be one number or one per sample ({len(x)}). Found shape {tuple(values.shape)}."
        )
    if values.numel():
        refuse_if(~(values >= 0).all(), lambda _: f"`{name}` should be at least 0. Found {float(values.min())}.")
    return values.expand(len(x))


def numeric(strength: Any, name: str) -> float | Tensor:
    """A strength that can be reckoned with: a number or a tensor as it is, all else as a tensor.

    Raises:
        ValueError: if it holds anything but numbers.
    """
    if isinstance(strength, Real | Tensor):
        return strength  # type: ignore[return-value]
    try:
        return torch.as_tensor(strength, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"`{name}` should be one number or one per sample. Found {strength!r}.") from None

"""What a penalty on the input gradient is: one loss more, at clean inputs, beside those of any objective."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from generators.global_batch import drawn
from training.adversarial_objective import not_negative
from training.directions import Directions


class PenaltyStep(NamedTuple):
    """What a penalty is computed from.

    Attributes:
        classifier: from `(B, *shape)` to logits `(B, C)`, in training mode.
        x: inputs that ask for a gradient, `(B, *shape)`.
        y: true classes, `(B,)` int64 in [0, C).
        logits: of `x`.
        generator: of what a penalty draws.
        directions: as many closest classes as were asked for and, if they were, the residuals to them.
    """

    classifier: nn.Module
    x: Float[Tensor, "B *shape"]
    y: Int[Tensor, " B"]
    logits: Float[Tensor, "B C"]
    generator: torch.Generator
    directions: Directions | None = None

    def drawn(self, draw: Callable[..., Tensor], *shape: int) -> Tensor:
        """Random rows for the samples, the same however many processes share the batch; see `generators.drawn`.

        Args:
            draw: such as `torch.randn`.
            shape: of one row.
        """
        options: Any = {"generator": self.generator, "device": self.generator.device, "dtype": self.logits.dtype}
        return drawn(len(self.x), self.generator, lambda count: draw(count, *shape, **options)).to(self.x.device)

    def given(self) -> Directions:
        """The closest classes, which a penalty gets that asks for them."""
        assert self.directions is not None
        return self.directions


class Penalty(ABC):
    """A loss on the input gradient at clean inputs, times its weight.

    A subclass writes `value`, and says what it needs: how many closest classes, and whether Δ̂x to them.

    Args:
        weight: λ ≥ 0, what the value is multiplied by.

    Attributes:
        name: of its loss, as it is logged after "train_", and as a combiner knows a gradient of its own.
        closest: how many closest classes it needs, or all others where there are fewer; 0 for none.
        takes_residual: whether it needs Δ̂x to them, and so a residual estimator.

    Raises:
        ValueError: if λ is below 0 or not finite.
    """

    name: ClassVar[str]
    closest: int = 0
    takes_residual: ClassVar[bool] = False

    def __init__(self, weight: float) -> None:
        self.weight = not_negative(weight, "weight")

    @abstractmethod
    def value(self, step: PenaltyStep) -> Float[Tensor, ""]:
        """The penalty of a batch without its weight, a mean over its samples with a graph to the weights."""

    def __call__(self, step: PenaltyStep) -> Float[Tensor, ""]:
        """The penalty of a batch."""
        return self.weight * self.value(step)

    def check_shape(self, shape: tuple[int, ...]) -> None:  # noqa: B027 (most penalties take any shape)
        """Refuse inputs that it cannot be computed for, before training begins.

        Raises:
            ValueError: saying what it takes.
        """

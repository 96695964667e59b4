"""What a training objective is: it returns named losses for a batch."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

Losses = dict[str, Tensor]


@runtime_checkable
class Objective(Protocol):
    """Returns the named losses of a batch, each a scalar with a graph.

    An objective may say their names beforehand, as an attribute `names`, so that a combiner or a penalty that does
    not go with them is refused before training begins. One that needs Δ̂x says so by an attribute `takes_residual`,
    and has a method `with_residual(residual)` that returns the objective for a batch with this Δ̂x, `(B, *shape)`.
    What it measured of a batch may stand among the losses under names that its attribute `observed` lists: it is
    logged like them, and is no part of what is trained. A method `check_network(network)` refuses a network that it
    cannot train, before training begins.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`, in training mode.
        x: inputs, `(B, *shape)`.
        y: true classes, `(B,)`.
        clean_logits: gives `classifier(x)`; the forward pass is made once, however often it is asked for.
        bounds: lowest and highest legal value of an input.
        generator: randomness of this step.
    """

    def __call__(
        self,
        classifier: nn.Module,
        x: Tensor,
        y: Tensor,
        clean_logits: Callable[[], Tensor],
        *,
        bounds: tuple[float, float],
        generator: torch.Generator,
    ) -> Losses:
        """Named losses of a batch."""
        ...


def takes_residual(objective: Objective) -> bool:
    """Whether an objective needs Δ̂x, and so a training a residual estimator."""
    return bool(getattr(objective, "takes_residual", False))


def observed_by(objective: Objective) -> tuple[str, ...]:
    """Names of what an objective measures beside its losses."""
    return tuple(getattr(objective, "observed", ()))

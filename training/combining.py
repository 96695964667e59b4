"""From the named losses of a step to one loss whose gradient is the combination of theirs."""

from collections.abc import Collection, Mapping, Sequence
from itertools import compress
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from training.combiners import Combiner, Gradients


def separate_gradients(
    losses: Mapping[str, Float[Tensor, ""]],
    weights: Mapping[str, nn.Parameter],
    scale: Tensor | float = 1.0,
    *,
    keep_graph: bool = False,
) -> tuple[dict[str, nn.Parameter], Gradients]:
    """The weights that some loss reaches, and the gradient of each loss in them, zero where that loss is flat.

    Args:
        losses: scalars with a graph, by name.
        weights: of the network, by name.
        scale: what a loss is multiplied by while it is differentiated, so that float16 does not underflow.
        keep_graph: for a backward pass that comes after; else the graph is freed.
    """
    last, every = [*losses][-1], [*weights.values()]
    found = {
        name: torch.autograd.grad(scale * loss, every, retain_graph=keep_graph or name != last, allow_unused=True)
        for name, loss in losses.items()
    }
    reached = [any(part is not None for part in parts) for parts in zip(*found.values(), strict=True)]
    named = dict(compress(weights.items(), reached))
    gradients = {}
    for name, parts in found.items():
        pairs = zip(compress(parts, reached), named.values(), strict=True)
        filled = [torch.zeros_like(weight) if part is None else part for part, weight in pairs]
        gradients[name] = list(torch._foreach_div(filled, scale))
    return named, gradients


def with_gradient(
    loss: Float[Tensor, ""], weights: Sequence[Tensor], gradients: Sequence[Tensor]
) -> Float[Tensor, ""]:
    """The value of a loss, whose gradient in the weights is the one given and nothing else.

    An ordinary backward pass then does what it always does: it accumulates, scales and averages over processes.

    Args:
        loss: a scalar.
        weights: what is trained.
        gradients: one for each of them, of the same shapes.

    Example:
        >>> weight = torch.tensor([3.0], requires_grad=True)
        >>> with_gradient(weight.square().sum(), [weight], [torch.tensor([5.0])]).backward()
        >>> weight.grad
        tensor([5.])
    """
    return _WithGradient.apply(loss.detach(), list(gradients), *weights)


class _WithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loss: Tensor, gradients: list[Tensor], *weights: Tensor) -> Tensor:
        ctx.save_for_backward(*gradients)
        return loss.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *torch._foreach_mul(ctx.saved_tensors, upstream)


def check_combination(
    combiner: Combiner,
    losses: Collection[str],
    penalties: Collection[str],
    place: str,
    objective: str = "the objective",
) -> None:
    """Refuse a combiner that has nothing to combine, or is given other losses than it takes.

    Args:
        combiner: makes one gradient of one per loss.
        losses: names of the objective's, with the clean one.
        penalties: names of those.
        place: name of the loss that they join, or "own".
        objective: as the message calls it.

    Raises:
        ValueError: if it cannot work.
    """
    if penalties and place not in ("own", *losses):
        raise ValueError(f"`alignment_with` should name a loss of {objective}: {', '.join(losses)}. Found {place!r}.")
    separate = [*losses, *(penalties if place == "own" else [])]
    if len(separate) < 2:
        raise ValueError(
            f"`combiner` should have two or more losses to combine. Found {', '.join(separate)} alone, of "
            f"{objective}. Train with an adversarial objective, or leave out the combiner."
        )
    check = getattr(combiner, "check", None)  # a combiner of one's own need not have it
    if check is not None:
        check(separate)

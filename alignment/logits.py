"""The logits of a classifier, also where a network returns more than a tensor."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


def logits_of(classifier: Callable[[Tensor], Any], x: Float[Tensor, "B *shape"]) -> Float[Tensor, "B C"]:
    """Logits of a classifier in at least float32; what it returns is unwrapped, see `unwrapped`.

    A classifier that writes to its input, such as one that normalises in place, does not change `x`.

    Raises:
        ValueError: if there are no logits `(B, C)` with C ≥ 2 in what is returned, or they are whole numbers, or the
            classifier fails and its weights are of another precision or on another device than x. What it raises
            otherwise is raised on, with a note on the shape of x.
    """
    try:
        # What asks for a gradient autograd guards itself.
        output = classifier(x if x.requires_grad else x.clone())
    except Exception as error:
        if isinstance(error, RuntimeError):
            check_goes_with(classifier, x, error)
        note = f"`classifier` raised it for `x` of shape {tuple(x.shape)}, {_named(x.dtype, x.device)}."
        said = isinstance(error, ValueError) or note in getattr(error, "__notes__", ())  # of a classifier within this
        if not said:
            error.add_note(note)
        raise
    logits = unwrapped(output, len(x))
    if not isinstance(logits, Tensor) or not _is_logits(logits, len(x)):
        raise ValueError(
            f"`classifier` should return logits of shape ({len(x)}, C) with C ≥ 2. Found {_found(output)}. "
            "A binary network with one output is adapted by training.networks.OneLogit, one that returns several "
            "tensors by a module that picks the logits."
        )
    if not logits.is_floating_point():
        raise ValueError(f"`classifier` should return logits, floating-point numbers. Found {logits.dtype}.")
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def check_goes_with(classifier: Any, x: Float[Tensor, "B *shape"], error: RuntimeError) -> None:
    """Say in plain words why a classifier failed, where its weights are of another precision or elsewhere than x.

    Raises:
        ValueError: from the error, if that is so.
    """
    weights = classifier.parameters() if isinstance(classifier, nn.Module) else ()
    found = {(weight.dtype, weight.device) for weight in weights if weight.is_floating_point()}
    if found and (x.dtype, x.device) not in found:
        expected = " or ".join(sorted(_named(*pair) for pair in found))
        raise ValueError(
            f"`x` should be {expected}, as the weights of `classifier`. Found {_named(x.dtype, x.device)}. "
            f"Bring them together, such as with `classifier.to(device={str(x.device)!r}, dtype={x.dtype})`."
        ) from error


def _named(dtype: torch.dtype, device: torch.device) -> str:
    return f"{str(dtype).removeprefix('torch.')} on {device}"


def unwrapped(output: Any, size: int) -> Any:
    """The part of a network's output that holds the logits where that is plain, else the output as it is.

    A mapping under the key `logits`, an object with an attribute `logits` (as `transformers` returns), the only
    element of a tuple or list, or its only float tensor of shape `(size, C)` with C ≥ 2.

    Example:
        >>> unwrapped({"logits": torch.zeros(1, 2), "loss": None}, 1)
        tensor([[0., 0.]])
        >>> unwrapped((torch.ones(1, 3), torch.zeros(1, 8, 8)), 1)
        tensor([[1., 1., 1.]])
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping) and "logits" in output:
        return output["logits"]
    if isinstance(getattr(output, "logits", None), Tensor):
        return output.logits
    if not isinstance(output, tuple | list):
        return output
    likely = [part for part in output if isinstance(part, Tensor) and _is_logits(part, size)]
    parts = output if len(output) == 1 else [part for part in likely if part.is_floating_point()]
    return parts[0] if len(parts) == 1 else output


def _is_logits(value: Tensor, size: int) -> bool:
    return value.ndim == 2 and len(value) == size and value.shape[1] >= 2


def _found(output: Any) -> str:
    """An output in words: the shape of a tensor, the type of all else and what it holds."""
    if isinstance(output, Tensor):
        return str(tuple(output.shape))
    parts: list[str] = []
    if isinstance(output, Mapping):
        parts = [f"{name!r}: {_found(part)}" for name, part in output.items()]
    elif isinstance(output, tuple | list):
        parts = [_found(part) for part in output]
    return f"{type(output).__name__} of {', '.join(parts)}" if parts else type(output).__name__

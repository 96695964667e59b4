"""Whether a gradient can be differentiated again, as penalties on it need, and the remedy where not."""

import re
from collections.abc import Iterator
from typing import Any

from jaxtyping import Float
from torch import Tensor

MISSING = ("torch::autograd::NotImplemented", "torch::autograd::Error", "CompiledFunctionBackwardBackward")
"""Nodes of a graph that stand for a missing second derivative; they only fail when the weights' gradient is taken."""

REMEDY = {
    "ScaledDotProduct": "run attention within torch.nn.attention.sdpa_kernel(SDPBackend.MATH), or, in timm, set "
    "`fused_attn = False` in every attention layer",
    "CompiledFunction": "pass the module that was given to torch.compile",
    "hardsigmoid": "put a module that returns F.relu6(x + 3) / 6 in the place of every torch.nn.Hardsigmoid",
}
"""By the beginning of an operation's name: fused attention, what torch.compile made, and a gate of MobileNetV3."""


def check_second_derivative(gradient: Float[Tensor, "..."]) -> None:
    """Refuse a gradient that torch cannot differentiate with respect to the weights.

    Raises:
        ValueError: naming the operations and, for fused attention and torch.compile, the remedy.
    """
    for node in _nodes(gradient.grad_fn):
        if node.name() in MISSING:
            operations = _operations(node)
            remedies = [text for start, text in REMEDY.items() if any(name.startswith(start) for name in operations)]
            raise ValueError(
                "`classifier` should have second derivatives, which a penalty on its input gradient needs. "
                f"Found none of {', '.join(operations)}" + "".join(f": {text}" for text in remedies) + "."
            )


def _nodes(root: Any) -> Iterator[Any]:
    """Every node of a graph."""
    seen, left = set(), [root]
    while left:
        node = left.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            left += [following for following, _ in node.next_functions]


def _said(node: Any) -> str | None:
    """The operation, where torch names it when it is asked for what is missing."""
    if node.name() != "torch::autograd::NotImplemented":
        return None
    try:
        node(None)
    except Exception as error:  # of a node that asks for several gradients torch says only that
        found = re.match(r"derivative for aten::(\w+?)(_backward)? is not implemented", str(error))
        return found[1] if found else None
    return None


def _operations(node: Any) -> list[str]:
    """Names of what the node may stand for; its own, and of the operations whose results it would need."""
    if said := _said(node):
        return [said]
    nodes = [other.name() for other, _ in node.next_functions if other is not None]
    following = [name for name in nodes if not name.startswith("torch::")]
    names = [node.name(), *following] if node.name().startswith("Compiled") else following
    fused = [name for name in names if name.startswith(tuple(REMEDY))]
    return sorted({name.split("Backward")[0] for name in fused or names}) or [
        "a function marked as once differentiable"
    ]

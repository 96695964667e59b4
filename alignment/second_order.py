"""Whether a gradient can be differentiated again, as the alignment penalty needs it, and the remedy where not."""

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
}
"""By the beginning of an operation's name: fused attention, and what torch.compile made."""


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


def _operations(node: Any) -> list[str]:
    """Names of what the node may stand for; its own, and of the operations whose results it would need."""
    nodes = [other.name() for other, _ in node.next_functions if other is not None]
    following = [name for name in nodes if not name.startswith("torch::")]
    names = [node.name(), *following] if node.name().startswith("Compiled") else following
    fused = [name for name in names if name.startswith(tuple(REMEDY))]
    return sorted({name.split("Backward")[0] for name in fused or names}) or [
        "a function marked as once differentiable"
    ]

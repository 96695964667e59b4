"""What of a network a CUDA graph leaves out: it calls no hook, and decides nothing in Python anew."""

import random
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import nn

from training.process_state import ProcessState

PLAIN = (bool, int, float, str, type(None))
"""Types of attributes in which a network may keep count."""


def has_hooks(network: nn.Module) -> bool:
    """Whether something is called with each forward or backward pass of a network or of a part of it."""
    return any(_hooked(part) for part in network.modules())


def left_out(network: nn.Module, shape: Sequence[int]) -> str | None:
    """Why a step of a network should not be recorded; None if nothing is seen that speaks against it.

    It is called with zeros in training: who draws from Python's or NumPy's random numbers, or keeps count in an
    attribute, may do something else the next time. What a network reads elsewhere is not seen.

    Args:
        network: left as it was found.
        shape: of one input.
    """
    if has_hooks(network):
        return "the network has hooks"
    state = ProcessState()
    weight = next(network.parameters(), torch.zeros(()))
    x = torch.zeros(2, *shape, dtype=weight.dtype, device=weight.device)
    try:
        with torch.random.fork_rng([weight.device] if weight.device.type == "cuda" else []):
            tried = deepcopy(network).train()
            tried(x)  # which may fill what it keeps for good
            before = _kept(tried)
            tried(x)
            return _told(state, before, _kept(tried))
    except Exception:  # what a user's own network may raise is said when it is trained
        return None
    finally:
        state.restore()


def _told(state: ProcessState, before: dict[str, Any], after: dict[str, Any]) -> str | None:
    if random.getstate() != state.python or not _same(np.random.get_state(), state.numpy):  # noqa: NPY002
        return "the network draws random numbers of Python or NumPy"
    changed = [name for name in after if name not in before or after[name] != before[name]]
    return f"the network changes its `{changed[0]}` with every call" if changed else None


def _kept(network: nn.Module) -> dict[str, Any]:
    """Attributes of a network and its parts in which they may keep count."""
    found: dict[str, Any] = {}
    for place, part in network.named_modules():
        own = {name: value for name, value in vars(part).items() if isinstance(value, PLAIN)}
        found |= {f"{place}.{name}".lstrip("."): value for name, value in own.items()}
    return found


def _same(one: Any, other: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def _hooked(part: nn.Module) -> bool:
    return bool(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks)

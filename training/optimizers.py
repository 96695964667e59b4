"""Optimisers in a form that a CUDA graph can hold, and their states in the form that everybody reads."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

HELD = ("betas", "momentum", "weight_decay", "dampening", "alpha", "eps")
"""Numbers of an optimiser, but for the learning rate."""


def is_recordable(optimizer: Optimizer) -> bool:
    """Whether a graph can hold the steps of an optimiser: those that know `capturable`, and SGD in its fused form."""
    return "capturable" in optimizer.defaults or type(optimizer) is SGD


def make_recordable(optimizer: Optimizer) -> None:
    """Let learning rates and counts of steps be read from the device at every step, so that schedules take effect.

    Args:
        optimizer: for which `is_recordable` holds, of parameters on a CUDA device.
    """
    for group in optimizer.param_groups:
        device = group["params"][0].device
        if "capturable" in group:
            group["capturable"] = True
        else:
            group["fused"], group["foreach"] = True, False
        group["lr"] = torch.as_tensor(float(group["lr"]), dtype=torch.float32, device=device)
    for weight, state in optimizer.state.items():
        for name, value in state.items():
            if name == "step":
                state[name] = torch.as_tensor(float(value), dtype=torch.float32, device=weight.device)
            elif isinstance(value, Tensor):
                state[name] = laid_out_as(weight, value)


def laid_out_as(weight: Tensor, value: Tensor) -> Tensor:
    """A value in the memory layout of a weight of its shape, which steps in fused form insist on.

    A gradient may come in another one, such as that of a convolution from one channel in channels_last.
    """
    if value.shape != weight.shape or value.stride() == weight.stride():
        return value
    return torch.empty_like(weight, dtype=value.dtype).copy_(value)


def constants(optimizer: Optimizer) -> Hashable:
    """The numbers of an optimiser that a graph holds as they are; a schedule that moves them needs a new one."""
    return tuple(tuple(group.get(name) for name in HELD) for group in optimizer.param_groups)


def in_plain_form(checkpoint: dict[str, Any]) -> None:
    """Take out of a checkpoint what only recorded steps need, so that any run, on any device, can go on from it."""
    for state in checkpoint.get("optimizer_states", ()):
        for group in state["param_groups"]:
            if isinstance(group["lr"], Tensor):
                group["lr"] = _number(group["lr"])
                group |= {"capturable": False} if "capturable" in group else {"fused": None, "foreach": None}
        # The optimiser that goes on training shares these, and keeps its own.
        state["state"] = {
            number: {name: _counted(value) if name == "step" else value for name, value in values.items()}
            for number, values in state["state"].items()
        }
    for schedule in checkpoint.get("lr_schedulers", ()):
        if "_last_lr" in schedule:
            schedule["_last_lr"] = [_number(lr) if isinstance(lr, Tensor) else lr for lr in schedule["_last_lr"]]


def _counted(step: Any) -> Any:
    return step.cpu() if isinstance(step, Tensor) else step


def _number(value: Tensor) -> float:
    """The shortest number that is this one in float32: 0.001, not 0.0010000000475."""
    return float(str(np.float32(float(value))))

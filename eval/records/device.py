"""Where a command works: one rule for `--device`, and one refusal."""

import os
from typing import Any

import torch
from torch import nn

from eval.progress.torchrun import is_launched

AUTO = "auto"
"""The name of what `best_device` finds."""


def best_device() -> str:
    """A CUDA card where there is one, else Apple's MPS, else the CPU; Lightning's `accelerator: auto` is the same."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def chosen_device(name: str = AUTO) -> torch.device:
    """The device of a name; of the processes that torchrun starts each has a GPU of its own where "cuda" is meant.

    Args:
        name: auto, cpu, cuda, cuda:1, mps, …

    Raises:
        ValueError: if it is not there, naming it.
    """
    found = best_device() if name == AUTO else name
    try:
        torch.zeros(1, device=found).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        told = str(error).splitlines()[0].split(". ")[0]
        raise ValueError(f"`device` should be one that is there, such as cpu. Found {name!r} ({told}).") from error
    if found == "cuda" and is_launched():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    return torch.device(found)


def trainer_on(name: str = AUTO) -> dict[str, Any]:
    """Options of a trainer that works on a device; none for auto, where each training's own configuration says it.

    Example:
        >>> trainer_on("cuda:1"), trainer_on("auto")
        ({'accelerator': 'cuda', 'devices': [1]}, {})
    """
    if name == AUTO:
        return {}
    device = torch.device(name)
    return {"accelerator": device.type} | ({} if device.index is None else {"devices": [device.index]})


def placed(classifier: nn.Module, device: torch.device) -> None:
    """Move a classifier to a device; on a GPU its convolutions get the layout that they are faster with."""
    classifier.to(device)
    if device.type == "cuda":
        classifier.to(memory_format=torch.channels_last)


def device_of(classifier: nn.Module) -> torch.device:
    """Where a classifier is; one without parameters is on the CPU."""
    return next((p.device for p in classifier.parameters()), torch.device("cpu"))


def device_name(device: str | torch.device) -> str:
    """What a device is called in records: the name of the card, or CPU."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return "CPU" if device.type == "cpu" else device.type.upper()

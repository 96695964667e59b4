"""True float32: what a verdict is reached in, whatever precision gradients and training are taken in."""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import torch

DEVICES = ("cpu", "cuda", "mps")
"""Where autocast may be on."""


@contextmanager
def exact() -> Iterator[None]:
    """Compute in the precision of the tensors: no TF32 in convolutions and matrix products, and no autocast.

    Unless told otherwise, PyTorch rounds the inputs of float32 convolutions to 10 bits on a GPU, which moves decision
    boundaries. The flags are those of the whole process, and as before afterwards, also after an exception. As a
    decorator, `@exact()`.
    """
    _warned()
    with ExitStack() as undo:
        _leave_tf32(undo)
        for device in filter(torch.is_autocast_enabled, DEVICES):
            undo.enter_context(torch.autocast(device, enabled=False))
        yield


def rounding() -> tuple[Any, ...]:
    """How PyTorch may round float32 in products and convolutions on a GPU, in whichever settings a program uses."""
    matmul: Any = torch.backends.cuda.matmul
    conv: Any = torch.backends.cudnn
    found: list[Any] = []
    for flags in (matmul, conv):
        try:
            found.append(flags.allow_tf32)
        except RuntimeError:  # beside the newer settings, where a program has used them, the older cannot be read
            found.append((matmul.fp32_precision, conv.conv.fp32_precision, conv.rnn.fp32_precision))
    return tuple(found)


def _leave_tf32(undo: ExitStack) -> None:
    """Switch TF32 off, and have it put back."""
    # Beside the newer settings, where a program has used them, the older ones cannot be read.
    try:
        products = torch.get_float32_matmul_precision()
    except RuntimeError:
        _set(torch.backends.cuda.matmul, "fp32_precision", "ieee", undo)
    else:
        if products != "highest":
            # Not CUDA's flag alone: "medium" is bfloat16 on a CPU too, and both should say the same.
            undo.callback(torch.set_float32_matmul_precision, products)
            torch.set_float32_matmul_precision("highest")
    try:
        _set(torch.backends.cudnn, "allow_tf32", False, undo)
    except RuntimeError:
        for name in ("conv", "rnn"):
            _set(getattr(torch.backends.cudnn, name), "fp32_precision", "ieee", undo)


def _set(backend: Any, name: str, value: Any, undo: ExitStack) -> None:
    """Change a setting, and have it put back."""
    undo.callback(setattr, backend, name, getattr(backend, name))
    setattr(backend, name, value)


@cache
def _warned() -> None:
    """Let PyTorch say unheard that there are newer settings, which some versions do once in a process."""
    with warnings.catch_warnings(), ExitStack() as undo:
        warnings.filterwarnings("ignore", "Please use the new API settings")
        _leave_tf32(undo)

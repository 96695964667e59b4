"""What would make a GPU wait, counted on a CPU by the operators that are called."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

READS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::is_nonzero")
"""Operators whose result, or the shape of it, has to be known to Python."""

INDEXED = ("aten::index", "aten::index_put", "aten::index_put_")
"""Operators that have to be waited for where an index is a mask."""


class _Waits(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().split(".")[0]
        masked = name in INDEXED and any(isinstance(i, Tensor) and i.dtype == torch.bool for i in args[1])
        if name in READS or masked:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@contextmanager
def waits() -> Iterator[list[str]]:
    """The names of operators, called inside, that a GPU would have to be waited for."""
    mode, original = _Waits(), Tensor.cpu

    def cpu(self: Tensor, *args: Any, **options: Any) -> Tensor:
        mode.found.append("cpu")
        return original(self, *args, **options)

    Tensor.cpu = cpu  # type: ignore[method-assign]
    try:
        with mode:
            yield mode.found
    finally:
        Tensor.cpu = original  # type: ignore[method-assign]

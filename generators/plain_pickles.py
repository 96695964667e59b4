"""Pickles of torch read as plain values: nothing in them is run, and values of a few common classes become plain.

Programs save more than weights: a score as a number of numpy, their arguments as a Namespace, a path. With
`weights_only=True` torch refuses such a file for them. Here such a class is replaced, while a file is read, by one
of ours that keeps what it is given and does nothing with it, so that neither the class nor its library is called.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


class Passed(dict[str, Any]):
    """Stands for a value whose class is not called; its attributes where it has any, else empty."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        """Keep attributes; numpy's numbers and types have others, which nobody needs."""
        if isinstance(state, Mapping):
            self.update({str(name): value for name, value in state.items()})


PASSED = (
    "argparse.Namespace",
    "datetime.date",
    "datetime.datetime",
    "datetime.timedelta",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "numpy.ndarray",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.PurePosixPath",
    "pathlib.PureWindowsPath",
    "pathlib.WindowsPath",
    "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath",
    "types.SimpleNamespace",
)
"""Classes and functions that common programs leave in their files, as pickle writes them."""


def read_plainly(path: Path, mmap: bool = False) -> Any:
    """What a file of torch holds, on the CPU, read with `weights_only=True`.

    Args:
        path: of the file.
        mmap: read tensors only where they are used.
    """
    with torch.serialization.safe_globals([(Passed, name) for name in PASSED]), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it is a program or an old pickle, which callers say
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)

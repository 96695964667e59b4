"""HDF5 files that may be damaged."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from training.data.unread import unread


@contextmanager
def opened(path: str | Path) -> Iterator[h5py.File]:
    """An HDF5 file, while it is read.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is another file, or what is read from it is damaged.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file. Name existing HDF5 files in `train` and `test`.")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, RuntimeError) as error:  # whichever the library meets first
        raise ValueError(unread(path, "an HDF5 file", error)) from error

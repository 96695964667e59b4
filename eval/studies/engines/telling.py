"""Where workers on other machines say how far they are: in the folder of results, the one place that all see."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = ".working-"


@contextmanager
def told_in(folder: Path) -> Iterator[Path]:
    """A new folder in the one of results, for as long as there is work."""
    told = folder.absolute() / f"{PREFIX}{socket.gethostname()}-{os.getpid()}"
    shutil.rmtree(told, ignore_errors=True)  # of one that was killed and had the same number
    told.mkdir(parents=True)
    try:
        yield told
    finally:
        shutil.rmtree(told, ignore_errors=True)

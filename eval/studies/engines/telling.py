"""Where workers on other machines say how far they are: in the folder of results, the one place that all see."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from generators.files import part_of, remove_leftovers

NAME = ".working"


@contextmanager
def told_in(folder: Path) -> Iterator[Path]:
    """A new folder in the one of results, for as long as there is work; those of processes that are gone go."""
    remove_leftovers(folder, below=False)
    told = part_of(folder.absolute() / NAME)
    shutil.rmtree(told, ignore_errors=True)  # of work before this, in the same process
    told.mkdir(parents=True)
    try:
        yield told
    finally:
        shutil.rmtree(told, ignore_errors=True)

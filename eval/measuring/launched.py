"""Commands that torchrun starts in several processes: they measure together, and the first alone speaks."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from torch import distributed

from eval.progress.torchrun import is_launched
from eval.robustness.together import is_known_to_all, rank, together


@contextmanager
def launched() -> Iterator[None]:
    """Join the processes that torchrun has started beside this one, if it has.

    Raises:
        SystemExit: on all but the first, for an error that the first tells.
    """
    if not is_launched():
        yield
        return
    # What is exchanged are outcomes, by way of the CPU; a GPU's own library is not needed.
    distributed.init_process_group("gloo")
    try:
        with together(), _only_the_first_speaks():
            yield
    finally:
        distributed.destroy_process_group()


@contextmanager
def _only_the_first_speaks() -> Iterator[None]:
    if rank() == 0:
        yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        try:
            yield
        except Exception as error:
            if not is_known_to_all(error):
                raise
            sys.exit(1)

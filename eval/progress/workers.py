"""How far the work of other processes is: each writes it into a file of its own, and one reads them all.

Files, and no queue, since a process that is ended from outside while it holds the lock of a queue leaves the others
waiting for ever.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from eval.progress.display import ticking
from eval.progress.sentence import where
from generators.files import write_whole
from generators.progress import Stage, stage

OFTEN = 1.0
"""Seconds between two states that a process writes."""


@contextmanager
def reported(work: Stage, file: Path | None) -> Iterator[None]:
    """Write how far a stage is into a file while it is open; without one it is a part of the stage around it.

    Args:
        work: a new stage.
        file: in a folder that whoever looks reads.
    """
    if file is None:
        with stage(work):
            yield
        return

    def write() -> None:
        share = 0.0 if math.isnan(work.share) else work.share
        with suppress(OSError):  # work goes on where the folder for it, often of temporary files, is full
            write_whole(file, json.dumps({"share": share * work.total, "where": where(work)}))

    with stage(work, outermost=True), ticking(write, OFTEN):
        yield
    file.unlink(missing_ok=True)

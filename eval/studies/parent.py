"""A process ends with the one that works for it was shared out by, also where that is killed and can tell nobody."""

import os
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess
from threading import Thread


def end_with_parent() -> None:
    """Watch whoever started this process, and end at once with it; what is written appears whole or not at all."""
    parent = parent_process()
    if parent is not None:
        Thread(target=_end_after, args=(parent,), name="watches the parent", daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)  # an exception would end this thread alone

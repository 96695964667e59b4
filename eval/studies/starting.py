"""How processes of a study start: forked from one that has loaded the libraries, where a system can do that."""

import re
import signal
from collections.abc import Sequence
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext

START = "forkserver" if "forkserver" in get_all_start_methods() else "spawn"
PRELOADED = "eval.studies.cells"
"""What is loaded: whatever a model of a study needs, which each process would import anew."""
ONE = re.compile(r"--(jobs[= ]1|ray|slurm|list)\b")
"""Options of `study` with which this process does the work, or none of this machine."""


def workers_context() -> BaseContext:
    """How they are started."""
    context = get_context(START)
    if START == "forkserver":
        context.set_forkserver_preload([PRELOADED])
    return context


def load_early(options: Sequence[str]) -> None:
    """Let the libraries be loaded for other processes while this one loads them, if `study` may want others.

    Args:
        options: as they were typed.
    """
    if START == "forkserver" and not ONE.search(" ".join(options)):
        from multiprocessing.forkserver import ensure_running

        workers_context()
        told = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which it inherits: it would end with a traceback
        ensure_running()
        signal.signal(signal.SIGINT, told)

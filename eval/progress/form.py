"""In which form progress is shown: a bar, lines, a widget, or not at all."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from io import TextIOBase
from typing import Any, Literal, TextIO

Form = Literal["bar", "lines", "widget", "nothing"]

_SILENCED: ContextVar[bool] = ContextVar("silenced", default=False)


def form_for(stream: TextIO | TextIOBase, *, notebook: bool, widgets: bool) -> Form:
    """The form that suits whoever reads a stream.

    A bar on a terminal; a widget in a notebook that can draw one; else lines now and then, since in files, pipes and
    the output of a notebook each state of a bar would stay.

    Args:
        stream: to be written to.
        notebook: whether this is one.
        widgets: whether ipywidgets is installed.
    """
    if _SILENCED.get():
        return "nothing"
    if notebook:
        return "widget" if widgets else "lines"
    return "bar" if stream.isatty() and os.environ.get("TERM") != "dumb" else "lines"


@contextmanager
def silenced(silent: bool = True) -> Iterator[None]:
    """Show no progress, if so; as `--quiet` asks."""
    token = _SILENCED.set(silent or _SILENCED.get())
    try:
        yield
    finally:
        _SILENCED.reset(token)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return "IPKernelApp" in getattr(shell, "config", {})


def has_widgets() -> bool:
    """Whether a notebook can draw bars."""
    return find_spec("ipywidgets") is not None

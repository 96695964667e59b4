"""Show on a terminal, in a log or in a notebook how far long work is, and how long it still takes."""

from typing import TYPE_CHECKING

from alignment.lazy import lazy

if TYPE_CHECKING:
    from eval.progress.display import Display, shown
    from eval.progress.form import silenced

__all__ = ["Display", "shown", "silenced"]

lazy(__name__)

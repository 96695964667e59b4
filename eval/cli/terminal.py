"""What the command asks of its terminal: letters that can be written, and files in UTF-8."""

import os
import sys
from io import TextIOWrapper
from pathlib import Path

from eval.tables.plain_letters import PLAINLY


def in_plain_letters() -> None:
    """Let stdout and stderr write eps and alpha_dx where they lack the letters, in place of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=PLAINLY)


def in_utf8() -> None:
    """Begin anew in Python's UTF-8 mode where file names and files would be of another encoding.

    Folders are called by recipes, such as Lα, and libraries open files in the encoding of the locale. The terminal
    keeps its own. Nothing is done on Windows, where file names are Unicode and a process cannot be replaced.
    """
    if sys.flags.utf8_mode or sys.getfilesystemencoding() == "utf-8" or os.name != "posix":
        return
    os.environ.setdefault("PYTHONIOENCODING", sys.stdout.encoding)
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def shown(path: Path | str) -> str:
    """A path as the terminal can write it, with ? for letters that it lacks: others would name another file."""
    encoding = sys.stdout.encoding or "utf-8"
    return str(path).encode(encoding, "replace").decode(encoding)

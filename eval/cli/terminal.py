"""What the command asks of its terminal: letters that can be written, and an end that leaves no traces."""

import os
import shlex
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

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


class Terminated(KeyboardInterrupt):
    """Somebody, such as a batch system, asks the process to end."""


def heeds_termination() -> None:
    """Let a request to end be an interruption, so that processes end with this one and it is said how to go on."""

    def end(number: int, frame: object) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, end)


def interrupted(error: KeyboardInterrupt, args: Sequence[str]) -> NoReturn:
    """Say in one sentence how to go on, and end.

    Args:
        error: the interruption; of a training it holds the last checkpoint, if there is one.
        args: of the command, as they were written.

    Raises:
        SystemExit: 130 after an interruption, 143 after a request to end, as shells have it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the end is near
    print(f"alphadx: interrupted; {how_to_go_on(args, str(error))}", file=sys.stderr)
    raise SystemExit(143 if isinstance(error, Terminated) else 130)


def how_to_go_on(args: Sequence[str], last: str = "") -> str:
    """The command that goes on where this one was stopped.

    Args:
        args: of the command.
        last: the last checkpoint of a training; empty if no epoch was finished.

    Example:
        >>> how_to_go_on(["study", "my study.yaml", "--jobs", "2"])
        "what is finished is kept, and the same command goes on: alphadx study 'my study.yaml' --jobs 2"
        >>> how_to_go_on(["fit", "fit.yaml", "--resume", "last"], "runs/last.ckpt")
        'all whole epochs are kept, and this command goes on: alphadx fit fit.yaml --resume runs/last.ckpt'
    """
    job, command = args[0] if args else "", shlex.join(["alphadx", *args])
    if job == "fit":
        if not last:
            return f"no epoch was finished, and the same command begins anew: {command}"
        resumed = shlex.join(["alphadx", *_without(args, "--resume"), "--resume", last])
        return f"all whole epochs are kept, and this command goes on: {resumed}"
    if job == "measure" and not any(arg.partition("=")[0] == "--out" for arg in args):
        return f"nothing is kept without a folder, and with one the same command goes on: {command} --out FOLDER"
    return f"what is finished is kept, and the same command goes on: {command}"


def _without(args: Sequence[str], option: str) -> list[str]:
    """Arguments without an option and its value."""
    pairs = zip(["", *args], args, strict=False)
    return [arg for before, arg in pairs if before != option and arg.partition("=")[0] != option]

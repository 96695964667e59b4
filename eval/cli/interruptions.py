"""Ctrl-C, and a request to end: what is said of how to go on."""

import shlex
import signal
import threading
from collections.abc import Sequence


class Terminated(KeyboardInterrupt):
    """Somebody, such as a batch system, asks the process to end."""


def heeds_termination() -> None:
    """Let a request to end be an interruption, so that processes end with this one and it is said how to go on."""

    def end(number: int, frame: object) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, end)


def ignore_interruptions() -> None:
    """Let the process come to its end in peace."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


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

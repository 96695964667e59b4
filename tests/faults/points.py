"""Fault points: every call by which something is written, counted, and the n-th of them made to fail.

A test forks a process that has loaded everything, in which all these calls are replaced, so that a fault costs what
the work costs and no start of an interpreter.
"""

import builtins
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CALLS = ("replace", "rename", "mkdir", "unlink", "rmdir", "fsync")
"""Functions of `os` that change a folder or a file."""
KILL = 0
"""The fault that is no error: the process is gone."""


@dataclass
class Fault:
    """What happens at the n-th call.

    Attributes:
        at: the number of the call, from 0.
        number: of an error of the system; `KILL` for SIGKILL.
        when: "before" the call, in the "middle" of it (of a write; "before" elsewhere), or "after" it.
        lasting: whether all later calls of the kind fail as well, as on a full disk.
        said: a file that all calls are written into, one a line.
    """

    at: int = -1
    number: int = KILL
    when: str = "before"
    lasting: bool = False
    said: Path | None = None
    count: int = 0

    def call(self, name: str, act: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        """Do a call, or what the fault makes of it."""
        number, self.count = self.count, self.count + 1
        if self.said is not None:
            descriptor = os.open(self.said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(descriptor, f"{name}\n".encode())
            os.close(descriptor)
        if number != self.at and not (self.lasting and 0 <= self.at < number):
            return act()
        if self.when == "middle" and half is not None:
            half()
        found = act() if self.when == "after" else None
        if self.number == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.when == "after":
            return found
        raise OSError(self.number, os.strerror(self.number))

    def inject(self) -> None:
        """Replace the calls, in this process, which is one that is forked for it."""
        for name in CALLS:
            setattr(os, name, self._counted(name, getattr(os, name)))
        opened = io.open

        def open_counted(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
            if not set(mode) & set("wax+") or isinstance(file, int):
                return opened(file, mode, *args, **options)
            found = self.call(f"open {file}", lambda: opened(file, mode, *args, **options))
            return Written(found, self)

        io.open = builtins.open = open_counted  # type: ignore[assignment]

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **options: self.call(
            f"{name} {args[0] if name != 'fsync' else ''}", lambda: function(*args, **options)
        )


class Written:
    """A file whose writes are counted."""

    def __init__(self, file: Any, fault: Fault) -> None:
        self.file, self.fault = file, fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __iter__(self) -> Any:
        return iter(self.file)

    def __enter__(self) -> "Written":
        self.file.__enter__()
        return self

    def __exit__(self, *error: object) -> Any:
        return self.file.__exit__(*error)

    def write(self, content: Any) -> Any:
        def half() -> None:
            self.file.write(content[: len(content) // 2])
            self.file.flush()

        return self.fault.call(f"write {getattr(self.file, 'name', '')}", lambda: self.file.write(content), half)


def forked(work: Callable[[], object], told: Path, fault: Fault | None = None) -> int:
    """Do some work in a process that is forked; returns its exit status, -9 where it was killed.

    Args:
        work: what to do; 0 is the status where it ends, 1 where it raises.
        told: a file for what it prints and raises.
        fault: to be injected.
    """
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    status = 1
    sys.stdout = sys.stderr = told.open("w", buffering=1)
    try:
        if fault is not None:
            fault.inject()
        work()
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException as error:
        traceback.print_exception(error)
    finally:
        os._exit(status)


def points(work: Callable[[], object], said: Path) -> list[str]:
    """All calls of some work, which must end well, in their order."""
    status = forked(work, said.with_suffix(".told"), Fault(said=said))
    assert status == 0, said.with_suffix(".told").read_text()
    return said.read_text().splitlines()

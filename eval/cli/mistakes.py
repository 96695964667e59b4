"""How the command ends where something went wrong: one sentence, and a status that says of which kind it was."""

import errno
import io
import os
import shutil
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from eval.cli.interruptions import Terminated, how_to_go_on
from eval.cli.version import version_line

USAGE, FAILED, INTERRUPTED, TERMINATED = 2, 1, 130, 143
FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of errors of a disk without space."""
PATHS = ("path", "file", "filepath", "filename", "name")
"""What libraries call the file that they write."""
ALMOST_NOTHING = 2**20
"""Bytes that are free on a disk that counts as full, where a library does not say what its error was."""


class Failed(ValueError):
    """Work that was begun did not come to its end."""


class Ended(SystemExit):
    """The end of the command, with what was printed."""

    def __init__(self, told: str, status: int) -> None:
        super().__init__(told)
        self.code = status


class End(NamedTuple):
    """What is said, and the exit status: 2 for what was typed, 1 for failed work, 130 for Ctrl-C, 143 for SIGTERM."""

    told: str
    status: int


def end_of(error: BaseException, args: Sequence[str]) -> End:
    """The end that belongs to an error.

    Args:
        error: that ended the work.
        args: of the command.
    """
    if isinstance(error, KeyboardInterrupt):
        status = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
        return End(f"interrupted; {how_to_go_on(args, str(error))}", status)
    if (file := full_disk(error)) is not None:
        return End(f"{file}: the disk is full. What was finished is kept: make space and start again.", FAILED)
    if isinstance(error, Failed):
        return End(str(error), FAILED)
    if isinstance(error, OSError) and not isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
        return End(_of_files(error), FAILED)
    if isinstance(error, OSError):
        return End(_of_files(error), USAGE)
    if isinstance(error, ValueError | ImportError):
        return End(str(error), USAGE)
    if isinstance(error, RuntimeError):
        return End(f"{type(error).__name__}: {error}", FAILED)
    return End(_fault(error), FAILED)


def is_fault(error: BaseException) -> bool:
    """Whether an error is none that a user can make, but one of this program's."""
    return not isinstance(error, KeyboardInterrupt | OSError | ValueError | ImportError | RuntimeError)


def full_disk(error: BaseException) -> str | None:
    """The file that did not fit on the disk, or None where that was not the reason."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and (seen.errno in FULL or os.strerror(errno.ENOSPC) in str(seen)):
            return str(seen.filename2 or seen.filename or file_of(seen) or "a file")
        if isinstance(seen, RuntimeError) and (file := file_of(seen)) and _has_no_room(file):
            return file  # torch and HDF5 say in words of their own that a file could not be written
        seen = seen.__cause__ or seen.__context__
    return None


def file_of(error: BaseException) -> str | None:
    """The file that was being written when an error was raised: `write` does not name it, and its callers know it."""
    for frame, _ in reversed([*traceback.walk_tb(error.__traceback__)]):
        for name, value in frame.f_locals.items():
            if isinstance(value, io.IOBase) and isinstance(file := getattr(value, "name", None), str):
                return file
            if isinstance(value, Path) or (
                isinstance(value, str) and name in ("path", "file", "filepath", "filename")
            ):
                return str(value)
    return None


def _has_no_room(file: str) -> bool:
    folder = next((one for one in Path(file).absolute().parents if one.is_dir()), Path("/"))
    return shutil.disk_usage(folder).free < ALMOST_NOTHING


def _of_files(error: OSError) -> str:
    """What the system says, with the file first."""
    if error.filename and error.strerror:
        return f"{error.filename}: {error.strerror[:1].lower()}{error.strerror[1:]}."
    return str(error)


def _fault(error: BaseException) -> str:
    return (
        f"a fault of alphadx's own ({type(error).__name__}: {error}). Please report it with the lines above, the "
        f"command, and this: {version_line()}."
    )

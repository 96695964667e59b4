"""How the command ends where something went wrong: one sentence, and a status that says of which kind it was."""

import errno
from collections.abc import Sequence
from typing import NamedTuple

from eval.cli.full_disk import full_disk
from eval.cli.interruptions import Terminated, how_to_go_on
from eval.cli.version import version_line

USAGE, FAILED, INTERRUPTED, TERMINATED = 2, 1, 130, 143
TYPED = (ValueError, ImportError, FileNotFoundError, NotADirectoryError, PermissionError)
"""Errors of what was typed."""
NAMES = (errno.ENAMETOOLONG, errno.EROFS)
"""Numbers of errors of the system that another name mends."""


REMEDIES = {
    errno.EROFS: "Name another folder with --out",
    errno.EMFILE: "Raise the limit with `ulimit -n`, or start with fewer --jobs",
    errno.ENFILE: "End other programs, and start again",
    errno.ENAMETOOLONG: "Choose shorter names",
    errno.EXDEV: "Name a folder on one file system with --out",
    errno.ESTALE: "The file server has lost it; start again",
    errno.EIO: "The disk or its cable may be failing; what was finished is kept",
}
"""What helps where the system refuses a file, by the number of its error."""


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
    return End(_told(error), USAGE if _is_typed(error) else FAILED)


def _is_typed(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in NAMES:
        return True
    return isinstance(error, TYPED) and not isinstance(error, Failed)


def is_fault(error: BaseException) -> bool:
    """Whether an error is none that a user can make, but one of this program's."""
    return not isinstance(error, KeyboardInterrupt | OSError | ValueError | ImportError | RuntimeError)


def _told(error: BaseException) -> str:
    """One sentence of what is wrong."""
    if is_fault(error):
        return _fault(error)
    if isinstance(error, OSError):
        return _of_files(error)
    return str(error) if isinstance(error, ValueError | ImportError) else f"{type(error).__name__}: {error}"


def _of_files(error: OSError) -> str:
    """What the system says, with the file first."""
    if error.filename and error.strerror:
        remedy = REMEDIES.get(error.errno or 0)
        return f"{error.filename}: {error.strerror}." + (f" {remedy}." if remedy else "")
    return str(error)


def _fault(error: BaseException) -> str:
    return (
        f"a fault of alphadx's own ({type(error).__name__}: {error}). Please report it with the lines above, the "
        f"command, and this: {version_line()}."
    )

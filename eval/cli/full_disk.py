"""Which file did not fit on a disk, whoever was writing it."""

import errno
import io
import os
import shutil
import traceback
from pathlib import Path

from generators.files import PART

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of errors of a disk without space."""
PATHS = ("path", "file", "filepath", "filename")
"""What libraries call the file that they write."""
ALMOST_NOTHING = 2**20
"""Bytes that are free on a disk that counts as full, where a library does not say what its error was."""


def full_disk(error: BaseException) -> str | None:
    """The file that did not fit on the disk, or None where that was not the reason."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and (seen.errno in FULL or os.strerror(errno.ENOSPC) in str(seen)):
            return PART.sub("", str(seen.filename2 or seen.filename or file_of(seen) or "a file"))
        if isinstance(seen, RuntimeError) and (file := file_of(seen)) and _has_no_room(file):
            return file  # torch and HDF5 say in words of their own that a file could not be written
        seen = seen.__cause__ or seen.__context__
    return None


def file_of(error: BaseException) -> str | None:
    """The file that was being written when an error was raised: `write` does not name it, and its callers know it."""
    for frame, _ in reversed([*traceback.walk_tb(error.__traceback__)]):
        for name, value in frame.f_locals.items():
            if file := _named(name, value):
                return PART.sub("", file)
    return None


def _named(name: str, value: object) -> str:
    """The file that a variable stands for, or nothing."""
    if isinstance(value, io.IOBase):
        file = getattr(value, "name", "")
        return file if isinstance(file, str) else ""
    return str(value) if isinstance(value, Path) or (isinstance(value, str) and name in PATHS) else ""


def _has_no_room(file: str) -> bool:
    folder = next((one for one in Path(file).absolute().parents if one.is_dir()), Path("/"))
    return shutil.disk_usage(folder).free < ALMOST_NOTHING

"""Files that appear whole or not at all."""

import errno
import os
import re
import shutil
import socket
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

PART = re.compile(r"\.(?:([0-9a-f]{8})-)?(\d+)\.part$")
"""What the name of a file ends with until it is whole: its host, in short, and the process that writes it."""
BUSY = (errno.EBUSY, errno.EACCES, errno.EPERM, errno.ETXTBSY)
"""Numbers of errors of a file that another process, such as a scanner of viruses, holds for a moment."""
PATIENCE = (0.05, 0.2, 0.8, 2.0)
"""Seconds to wait before a busy file is tried again."""
LONG = 24 * 3600.0
"""Seconds without a change after which a part is left over, whoever wrote it."""


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it appears whole or not at all, whatever happens meanwhile, also to the power.

    Args:
        path: of the file; its folder is made if there is none.
        content: text is written as UTF-8.

    Raises:
        OSError: if the disk is full, or the folder cannot be written to; what was there before is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    written = content.encode("utf-8") if isinstance(content, str) else content
    write_reserved(part, written, len(written))
    put_in_place(part, path)


def part_of(path: Path) -> Path:
    """The file, or folder, that is written before it takes a name; no other process, on any host, writes the same."""
    return path.with_name(f"{path.name}.{_host()}-{os.getpid()}.part")


def put_in_place(part: Path, path: Path) -> None:
    """Let a file that is written take its name, also where another process holds that for a moment.

    Raises:
        OSError: if it cannot; what was there before is still there, and the part is removed.
    """
    try:
        with part.open("rb+") as file:
            os.fsync(file.fileno())  # else a power cut after the renaming may leave a file of zeros
        _renamed(part, path)
    except OSError as error:
        _let_go(part)
        told = f"{error.strerror or error}, so what was there before is kept"
        raise OSError(error.errno, told, str(path)) from error


def _renamed(part: Path, path: Path) -> None:
    for seconds in PATIENCE:
        try:
            os.replace(part, path)
            return
        except OSError as error:
            if error.errno not in BUSY:
                raise
        time.sleep(seconds)
    os.replace(part, path)


def write_reserved(path: Path, content: bytes, size: int) -> None:
    """Write a file of `size` bytes that begins with the content; leave nothing behind where that fails.

    Raises:
        OSError: if the disk is full, which says how many bytes are needed, or the file cannot be written.
    """
    try:
        with path.open("wb") as file:
            file.write(content)
            for start in range(len(content), size, 2**20):
                file.write(bytes(min(2**20, size - start)))
    except OSError as error:
        _let_go(path)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        whole = PART.sub("", str(path))
        raise OSError(
            errno.ENOSPC,
            f"{whole}: the disk is full; {size:,} bytes are needed. Nothing is lost: make space and start again",
        ) from error


def remove_leftovers(folder: Path, *, below: bool = True) -> list[Path]:
    """Remove the parts in a folder that no process finishes any more; returns them.

    Those of this host whose process is gone, and those of others that have not changed for a day: hosts whose clocks
    differ by less agree on what is left over, and a clock that was set back keeps a part too long, not too short.

    Args:
        folder: that files are written into; none need be there.
        below: whether to look into the folders in it, too.
    """
    found = [part for part in (folder.rglob if below else folder.glob)("*.part") if _is_left(part)]
    for part in found:
        _remove(part)
    return found


def _is_left(part: Path) -> bool:
    found = PART.search(part.name)
    if found is None:
        return False
    if found[1] == _host():
        return not _is_alive(int(found[2]))
    try:
        return time.time() - part.stat().st_mtime > LONG
    except FileNotFoundError:  # it has taken its name meanwhile
        return False


def _remove(part: Path) -> None:
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)  # another process may remove it at the same time
    else:
        part.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    if os.name == "nt":  # where asking would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True


def _host() -> str:
    """Where the number of a process means that process: a host, or a container of one, which counts its own."""
    try:
        counted = os.stat("/proc/self/ns/pid").st_ino
    except OSError:  # not Linux
        counted = 0
    return sha256(f"{socket.gethostname()} {counted}".encode()).hexdigest()[:8]


def _let_go(path: Path) -> None:
    """Remove a file if that is possible: why it could not be written is what is told."""
    with suppress(OSError):
        path.unlink(missing_ok=True)

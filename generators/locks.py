"""Locks that processes hold on a shared folder, also where its file system knows none."""

import errno
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLease

try:
    import fcntl
except ImportError:  # Windows locks in another way, and everywhere
    fcntl = None  # type: ignore[assignment]

LEASE = 60.0
"""Seconds without a sign of life after which a file that stands for a lock is one of a process that is gone."""
NONE = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
"""Numbers of errors of a file system without locks."""


def lock(path: Path, *, wait: bool = True) -> BaseFileLock:
    """A lock that no other process holds while this one does; the system lets go of it however a process ends.

    Where the file system knows no locks, a file beside the path, made by one process only, stands for it. It names
    the process and its host, and whoever holds it shows signs of life, so that one left by another host is taken over
    when it has shown none for a minute, by the clock of whoever waits: no clock that is set back can make it stale.

    Args:
        path: of a file; its folder exists.
        wait: until it is free; otherwise entering it raises `filelock.Timeout` where another process holds it.
    """
    if _has_locks(path):
        return FileLock(path, blocking=wait)
    return SoftFileLease(path.with_name(f"{path.name}.lease"), lease_duration=LEASE, blocking=wait)


def _has_locks(path: Path) -> bool:
    if fcntl is None:
        return True
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in NONE
    return True

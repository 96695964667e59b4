"""A lock is held by one process, whatever the file system knows."""

import errno
import os
import signal
import socket
from pathlib import Path

import pytest
from filelock import SoftFileLease, Timeout

from generators import locks
from generators.locks import lock


@pytest.fixture(params=[0, errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def number(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The error by which the file system refuses locks; 0 if it knows them."""
    if request.param:
        _without_locks(monkeypatch, request.param)
    return request.param


def _without_locks(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refused(file: object, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refused)


def _killed_with(path: Path) -> None:
    """A process that is killed while it holds a lock."""
    child = os.fork()
    if child == 0:
        try:
            held = lock(path)  # which would be let go of with its last name
            held.acquire()
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_one_holds_a_lock_and_others_are_told(tmp_path: Path, number: int) -> None:
    path = tmp_path / ".lock"
    with lock(path), pytest.raises(Timeout), lock(path, wait=False):
        raise AssertionError("two hold it")
    with lock(path, wait=False) as free:
        assert free.is_locked


def test_lock_of_a_process_that_was_killed_is_free(tmp_path: Path, number: int) -> None:
    path = tmp_path / ".lock"
    _killed_with(path)
    with lock(path) as free:
        assert free.is_locked


def test_lease_of_another_host_is_taken_over_without_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_locks(monkeypatch, errno.ENOLCK)
    monkeypatch.setattr(locks, "LEASE", 0.6)
    path = tmp_path / ".lock"
    _killed_with(path)
    (left,) = tmp_path.glob(".lock.lease")
    left.write_text(left.read_text().replace(socket.gethostname(), "elsewhere"))
    assert "elsewhere" in left.read_text()
    with pytest.raises(Timeout):
        lock(path, wait=False).acquire()
    os.utime(left, (2e9, 2e9))  # in a future that clocks have not reached
    with lock(path) as free:
        assert isinstance(free, SoftFileLease)

"""A study that is killed takes its workers with it."""

import os
import signal
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from eval.studies.processes import processes


def _noted(file: str) -> None:
    Path(file).write_text(str(os.getpid()))
    time.sleep(600)


def _is_alive(process: int) -> bool:
    try:
        return (Path("/proc") / str(process) / "stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "worker"
    parent = os.fork()
    if parent == 0:
        try:
            with processes(1, get_context("fork"), time.sleep, 0) as pool:
                pool.submit(_noted, str(note)).result()
        finally:
            os._exit(1)
    while not (note.exists() and note.read_text()):
        time.sleep(0.02)
    worker = int(note.read_text())
    assert _is_alive(worker)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    until = time.monotonic() + 20
    while _is_alive(worker) and time.monotonic() < until:
        time.sleep(0.02)
    try:
        assert not _is_alive(worker)
    finally:
        if _is_alive(worker):
            os.kill(worker, signal.SIGKILL)

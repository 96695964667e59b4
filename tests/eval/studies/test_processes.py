"""A pool of processes that ends with the work it was made for."""

import time
from multiprocessing import active_children, get_context

import pytest

from eval.studies.processes import processes


def interrupted(number: int, error: BaseException) -> None:
    """More work than there are processes, which an error ends once all of them have begun."""
    before = len(active_children())
    with processes(number, get_context("spawn"), time.sleep, 0) as pool:
        for _ in range(2 * number):
            pool.submit(time.sleep, 600)
        while len(active_children()) < before + number:
            time.sleep(0.01)
        raise error


def test_processes_end_at_once_where_work_is_interrupted() -> None:
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted(2, KeyboardInterrupt())
    assert active_children() == []
    assert time.monotonic() - began < 60


def test_other_processes_live_on() -> None:
    other = get_context("spawn").Process(target=time.sleep, args=(600,))
    other.start()
    try:
        with pytest.raises(ValueError, match="mine"):
            interrupted(1, ValueError("mine"))
        assert other.is_alive()
    finally:
        other.kill()
        other.join()


def test_work_that_is_finished_is_waited_for() -> None:
    with processes(1, get_context("spawn"), time.sleep, 0) as pool:
        found = pool.submit(pow, 2, 10)
    assert found.result() == 1024

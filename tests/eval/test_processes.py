"""A pool of processes that ends with the work it was made for."""

import time
from multiprocessing import active_children, get_context

import pytest

from eval.processes import processes


def test_processes_end_at_once_where_work_is_interrupted() -> None:
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), processes(2, get_context("spawn"), time.sleep, 0) as pool:
        for _ in range(4):
            pool.submit(time.sleep, 600)
        while len(active_children()) < 2:
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert active_children() == []
    assert time.monotonic() - began < 60


def test_other_processes_live_on() -> None:
    other = get_context("spawn").Process(target=time.sleep, args=(600,))
    other.start()
    try:
        with pytest.raises(ValueError, match="mine"), processes(1, get_context("spawn"), time.sleep, 0) as pool:
            pool.submit(time.sleep, 600)
            raise ValueError("mine")
        assert other.is_alive()
    finally:
        other.kill()
        other.join()


def test_work_that_is_finished_is_waited_for() -> None:
    with processes(1, get_context("spawn"), time.sleep, 0) as pool:
        found = pool.submit(pow, 2, 10)
    assert found.result() == 1024

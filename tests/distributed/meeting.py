"""Processes that meet in a group, for tests: from a server that has imported what they need, and nothing more.

A fork of the tests' own process would not do: autograd refuses to work in one once it has had threads of its own.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing


def in_processes(count: int, folder: Path, work: Callable[[int], Any]) -> list[Any]:
    """What some work returns in each of so many processes of one group; None where one has ended before."""
    place = folder / f"{count} processes"
    place.mkdir()
    multiprocessing.set_forkserver_preload(["tests.distributed.test_measuring"])
    multiprocessing.start_processes(_joined, args=(count, place, work), nprocs=count, start_method="forkserver")
    files = [place / f"{rank}.pt" for rank in range(count)]
    return [torch.load(file, weights_only=False) if file.exists() else None for file in files]


def _joined(rank: int, count: int, place: Path, work: Callable[[int], Any]) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{place}/meeting", rank=rank, world_size=count, timeout=timedelta(minutes=2)
    )
    try:
        torch.save(work(rank), place / f"{rank}.pt")
    finally:
        distributed.destroy_process_group()

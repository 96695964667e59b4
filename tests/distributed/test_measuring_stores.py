"""A store that several processes fill and others read: whole or not at all, and the same whoever filled it."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from generators import ResidualStore, StoredResidual
from tests.distributed.meeting import in_processes
from training.data import Split


class Slow:
    """An estimator that tells who asked for how many residuals."""

    name, settings, digest = "slow", {"rest": 0}, "d"

    def __init__(self, rest: float = 0.0) -> None:
        self.rest, self.asked = rest, 0

    def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        self.asked += len(x)
        time.sleep(self.rest)
        return x * (1 + target.float().view(-1, 1, 1, 1)) - 0.5


def samples() -> Split:
    x = torch.rand(46, 1, 4, 5, generator=torch.Generator().manual_seed(0))
    return Split(x, torch.arange(46) % 3, (0.0, 1.0))


def store(path: Path, estimator: Slow) -> ResidualStore:
    return ResidualStore(path, estimator, samples(), data="some", split="train", classes=[0, 1, 2], batch=4)


def all_of(stored: StoredResidual) -> Tensor:
    split = samples()
    rows = torch.arange(len(split))
    batch = split.__getitems__(rows.tolist())
    return stored.at(rows)(batch.x, batch.y, (batch.y + 1) % 3)


def filled_or_read(path: Path, rank: int) -> Any:
    """The first two write; the others read as soon as there is something, and count who was told to wait."""
    if rank < 2:
        estimator = Slow(0.01)
        return estimator.asked, all_of(store(path, estimator).fill()), estimator.asked
    waited = 0
    while True:
        try:
            return waited, all_of(StoredResidual(path)), ""
        except FileNotFoundError:
            waited += 1
            time.sleep(0.01)


@pytest.mark.parametrize("count", [6])
def test_two_write_and_four_read_one_store(tmp_path: Path, count: int) -> None:
    alone = Slow()
    expected = all_of(store(tmp_path / "alone.h5", alone).fill())
    found = in_processes(count, tmp_path, partial(filled_or_read, tmp_path / "both.h5"))
    assert (tmp_path / "both.h5").read_bytes() == (tmp_path / "alone.h5").read_bytes()
    assert all(torch.equal(values, expected) for _, values, _ in found)
    asked = [asked for _, _, asked in found[:2]]
    assert sum(asked) == alone.asked  # nothing twice
    assert min(asked) > 0  # and each some
    assert all(waited > 0 for waited, _, _ in found[2:])


def test_a_reader_is_told_that_a_store_is_being_filled(tmp_path: Path) -> None:
    (tmp_path / "s.h5.parts").mkdir()
    with pytest.raises(FileNotFoundError, match="is still being filled, or its filling was stopped"):
        StoredResidual(tmp_path / "s.h5")
    with pytest.raises(FileNotFoundError, match="no such store of residuals"):
        StoredResidual(tmp_path / "other.h5")

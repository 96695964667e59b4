"""Samples of a split near the steps of a training: in the memory of a GPU where there is room."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from training.data import Digits, LazySplit, Split
from training.data.split import ROOM, OnDevice

CPU, BOUNDS = torch.device("cpu"), (-1.0, 1.0)
ELSEWHERE = torch.device("meta")
"""Has shapes and no values."""


def split(count: int = 10, dtype: torch.dtype = torch.uint8) -> Split:
    images = torch.arange(count * 4).reshape(count, 1, 2, 2) // (1 if dtype == torch.uint8 else 64)
    return Split(images.to(dtype), torch.arange(count) % 3, BOUNDS)


def with_free(monkeypatch: pytest.MonkeyPatch, free: float) -> None:
    """A GPU with so many bytes that are free."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 1e12))


@pytest.mark.parametrize(("more", "near"), [(-1, False), (0, True), (1, True)])
def test_a_split_is_kept_where_it_leaves_most_of_the_memory_free(
    monkeypatch: pytest.MonkeyPatch, more: int, near: bool
) -> None:
    samples = split()
    with_free(monkeypatch, 40 / ROOM + more)  # forty bytes of images
    found = samples.near(ELSEWHERE)
    assert isinstance(found, OnDevice) == near
    assert (found is samples) != near
    assert samples.images.device == samples.labels.device == CPU


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_batches_are_the_same_where_they_are_kept(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    with_free(monkeypatch, 1e9)
    samples, asked = split(dtype=dtype), [7, 0, 3]
    expected, found = samples.__getitems__(asked), samples.near(CPU).__getitems__(asked)
    assert all(torch.equal(part, same) for part, same in zip(found, expected, strict=True))
    there = samples.near(ELSEWHERE).__getitems__(asked)
    assert {part.device for part in there} == {ELSEWHERE}
    assert [(part.shape, part.dtype) for part in there] == [(part.shape, part.dtype) for part in expected]
    assert samples.near(CPU).order(0, 1) == samples.order(0, 1)


def test_samples_that_are_read_when_asked_for_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, 1e9)
    lazy = LazySplit(torch.arange(3), BOUNDS)
    assert lazy.near(ELSEWHERE) is lazy
    near = split().near(ELSEWHERE)
    assert near.near(ELSEWHERE) is near


@pytest.mark.parametrize(
    ("device", "workers", "near"), [("cuda:1", 0, True), ("cuda:1", 2, False), ("cpu", 0, False), ("mps", 0, False)]
)
def test_a_training_on_a_gpu_asks_for_its_splits_there(
    monkeypatch: pytest.MonkeyPatch, device: str, workers: int, near: bool
) -> None:
    """Unless other processes read them, which would have to share that memory."""
    asked: list[torch.device] = []

    def noted(samples: Split, where: torch.device) -> Split:
        asked.append(where)
        return samples

    monkeypatch.setattr(Split, "near", noted)
    data: Any = Digits(workers=workers)
    progress = SimpleNamespace(epoch_progress=SimpleNamespace(current=SimpleNamespace(processed=0, ready=0)))
    where = SimpleNamespace(root_device=torch.device(device))
    data.trainer = SimpleNamespace(strategy=where, global_rank=0, world_size=1, fit_loop=progress)
    data.train_dataloader()
    data.val_dataloader()
    data.test_dataloader()  # which is measured, and not trained with
    assert asked == [torch.device(device)] * 2 * near

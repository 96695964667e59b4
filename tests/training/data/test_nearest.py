"""The nearest training example, among as many as there are: read in blocks, drawn by class, kept."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from generators import NearestExample
from training.data import Digits, LazySplit, Split
from training.data.residuals import SplitExamples, nearest_example

BOUNDS = (-1.0, 1.0)


class OnDisk(LazySplit):
    """Samples that are read from somewhere else, of which it remembers how many at a time."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        super().__init__(labels, BOUNDS)
        self.images_elsewhere, self.at_a_time = images, 0

    def read(self, indices: Sequence[int]) -> Tensor:
        """Bytes."""
        self.at_a_time = max(self.at_a_time, len(indices))
        return self.images_elsewhere[torch.tensor(indices)]


def made(count: int = 300, shape: tuple[int, ...] = (3, 8, 8)) -> tuple[Tensor, Tensor]:
    return torch.randint(256, (count, *shape), dtype=torch.uint8), torch.arange(count) % 3


def asked(count: int = 9, shape: tuple[int, ...] = (3, 8, 8)) -> tuple[Tensor, Tensor, Tensor]:
    y = torch.arange(count) % 3
    return torch.rand(count, *shape) * 2 - 1, y, (y + 1) % 3


@pytest.mark.parametrize("name", ["nearest", "nearest-even", "nearest-odd"])
@pytest.mark.parametrize("kind", [lambda *given: Split(*given, BOUNDS), OnDisk], ids=["in memory", "on disk"])
def test_split_is_searched_as_if_it_were_held_in_floating_point(kind: Any, name: str) -> None:
    """With the digest and settings that records of earlier versions know."""
    images, labels = made()
    start, step = {"nearest": (0, 1), "nearest-even": (0, 2), "nearest-odd": (1, 2)}[name]
    whole = Split(images, labels, BOUNDS).__getitems__(range(len(labels))[start::step])
    expected, found = NearestExample(whole.x, whole.y), nearest_example(kind(images, labels), name)
    x, y, target = asked()
    assert torch.equal(found(x, y, target), expected(x, y, target))
    assert (found.name, found.settings, found.digest) == (name, expected.settings, expected.digest)


def test_split_on_disk_is_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generators.nearest.ROOM", 20 * 192)
    split = OnDisk(*made())
    nearest_example(split, "nearest")(*asked(50))
    assert split.at_a_time == 20


def test_so_many_of_each_class_are_drawn_at_random() -> None:
    split = Split(*made(), BOUNDS)
    drawn = [nearest_example(split, "nearest", examples_per_class=20, seed=seed) for seed in (0, 0, 1)]
    assert [len(estimator.examples.labels) for estimator in drawn] == [60] * 3
    assert [estimator.examples.labels.bincount().tolist() for estimator in drawn] == [[20] * 3] * 3
    assert drawn[0].digest == drawn[1].digest != drawn[2].digest
    assert drawn[2].settings == {"examples": 60, "examples_per_class": 20, "seed": 1}
    assert drawn[0].name == "nearest of 20 a class"
    places = drawn[0].examples.indices
    assert 120 < places.double().mean() < 180  # from all over the split
    assert torch.equal(places, places.sort().values)


def test_classes_with_fewer_examples_keep_them_all() -> None:
    labels = torch.tensor([0] * 30 + [1] * 3)
    split = Split(torch.rand(33, 4), labels, (0.0, 1.0))
    assert nearest_example(split, "nearest", examples_per_class=5).examples.labels.tolist() == [0] * 5 + [1] * 3


def test_half_of_the_split_is_drawn_from_that_half() -> None:
    split = Split(*made(), BOUNDS)
    drawn = nearest_example(split, "nearest-odd", examples_per_class=7)
    assert (drawn.examples.indices % 2 == 1).all()


def test_options_reach_the_search_by_the_name_of_the_residual(tmp_path: Path) -> None:
    data, keep = Digits(), tmp_path / "found"
    estimator = data.residual({"residual": "nearest", "options": {"examples_per_class": 5, "keep": str(keep)}})
    batch = data.split("test").__getitems__(range(8))
    estimator(batch.x, batch.y, (batch.y + 1) % 10)
    assert estimator.settings == {"examples": 50, "examples_per_class": 5, "seed": 0}
    assert keep.stat().st_size == 8 * 24


@pytest.mark.parametrize("count", [0, -3, 2.5])
def test_impossible_numbers_of_examples_are_refused(count: Any, as_in_production: None) -> None:
    with pytest.raises(ValueError, match="`examples_per_class` should be "):
        nearest_example(Split(*made(), BOUNDS), "nearest", examples_per_class=count)


def test_split_without_samples_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`split` should hold examples .* Found none"):
        SplitExamples(Split(*made(0), BOUNDS))


class Drawn(LazySplit):
    """40,000 images of 3×32×32 bytes, drawn when they are asked for: in float32 they would take 490 MB."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.maps = torch.randn(20, 3 * 32 * 32, generator=generator)
        self.weights = torch.randn(40_000, 20, generator=generator)
        super().__init__(torch.arange(40_000) % 2, BOUNDS)

    def read(self, indices: Sequence[int]) -> Tensor:
        """Bytes."""
        return (self.weights[indices] @ self.maps).sigmoid().mul(255).byte().reshape(-1, 3, 32, 32)


def growth_of_memory() -> int:
    """Bytes by which the process's peak grows while the nearest of 40,000 examples are found."""
    split = Drawn()
    batch = split.__getitems__(range(64))
    before = peak()
    nearest_example(split, "nearest")(batch.x, batch.y, 1 - batch.y)
    return peak() - before


def peak() -> int:
    """Bytes; what getrusage knows would begin with the memory of the process that started this one."""
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the peak of a process's memory")
def test_memory_does_not_grow_with_the_training_split() -> None:
    script = "from tests.training.data.test_nearest import growth_of_memory; print(growth_of_memory())"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2.5e8

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from generators import NearestExample
from generators.directions import Directions, lower_bounds
from generators.examples import HeldExamples
from tests.generators.test_residuals import BATCHES, SHAPES


class CountedExamples(HeldExamples):
    """Examples that count how many of them are read, and at most how many at a time."""

    read_in_all = at_a_time = 0

    def read(self, rows: Tensor) -> Tensor:
        self.read_in_all += len(rows)
        self.at_a_time = max(self.at_a_time, len(rows))
        return super().read(rows)


def correlated(count: int, size: int) -> Tensor:
    """Points that differ most along few directions, as images do."""
    return torch.randn(count, size) * 0.8 ** torch.arange(size)


def brute_force(x: Tensor, target: Tensor, examples: Tensor, labels: Tensor) -> Tensor:
    queries, table = (tensor.flatten(1).double().numpy() for tensor in (x, examples))
    distances = ((queries[:, None] - table) ** 2).sum(2)
    distances[target.numpy()[:, None] != labels.numpy()] = np.inf
    return examples[torch.from_numpy(distances.argmin(1))] - x


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("block", [*(pytest.param(block, marks=pytest.mark.slow) for block in (1, 2)), 7, 4096])
@pytest.mark.parametrize("directions", [1, 3, 128])
def test_nearest_example_is_that_of_brute_force(
    directions: int, block: int, batch: int, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("generators.nearest.DIRECTIONS", directions)
    monkeypatch.setattr("generators.nearest.BOUNDS", 20)
    examples, labels = torch.randn(60, *shape), torch.randint(3, (60,))
    x, y = torch.randn(batch, *shape), torch.arange(batch) % 3
    target = (y + 1) % 3
    residual = NearestExample(examples, labels, block=block)(x, y, target)
    assert torch.equal(residual, brute_force(x, target, examples, labels))


def test_brightness_common_to_all_does_not_blur_distances() -> None:
    examples, labels = 1e4 + torch.randn(200, 50), torch.zeros(200, dtype=torch.int64)
    x, y, target = 1e4 + torch.randn(20, 50), torch.ones(20, dtype=torch.int64), torch.zeros(20, dtype=torch.int64)
    assert torch.equal(NearestExample(examples, labels)(x, y, target), brute_force(x, target, examples, labels))


@pytest.mark.parametrize("block", [1, 3, 100])
def test_query_among_the_examples_finds_itself(block: int) -> None:
    examples, labels = torch.randn(30, 2, 3), torch.arange(30) % 3
    residual = NearestExample(examples, labels, block=block)(examples, labels, labels)
    assert torch.equal(residual, torch.zeros_like(examples))


@pytest.mark.parametrize("block", [1, 2, 100])
def test_of_equally_near_examples_the_first_wins(block: int) -> None:
    examples, x = torch.tensor([[3.0, 0.0], [0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]]), torch.zeros(1, 2)
    residual = NearestExample(examples, torch.zeros(4, dtype=torch.int64), block=block)(
        x, torch.tensor([1]), torch.tensor([0])
    )
    assert residual.tolist() == [[0, 1]]


def test_only_examples_of_the_target_class_are_considered() -> None:
    examples, labels = torch.tensor([[0.0], [5.0], [9.0]]), torch.tensor([0, 7, 7])
    y, target = torch.tensor([7, 0]), torch.tensor([0, 7])
    residual = NearestExample(examples, labels)(torch.ones(2, 1), y, target)
    assert residual.tolist() == [[-1], [4]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_nearest_residual_has_the_precision_of_the_image(dtype: torch.dtype) -> None:
    nearest = NearestExample(torch.ones(1, 2), torch.tensor([0]))
    assert nearest(torch.ones(1, 2, dtype=dtype), torch.tensor([1]), torch.tensor([0])).dtype == dtype


def test_nearest_example_leaves_images_and_examples_alone() -> None:
    examples, labels, x = torch.randn(9, 4), torch.arange(9) % 2, torch.randn(3, 4)
    before, kept = x.clone(), examples.clone()
    nearest = NearestExample(examples, labels)
    nearest(x, torch.tensor([0, 1, 0]), torch.tensor([1, 0, 1])).zero_()
    assert torch.equal(x, before)
    assert torch.equal(examples, kept)


class LargestTensor(TorchDispatchMode):
    """Remembers the number of entries of the largest tensor that any operation returns."""

    entries = 0

    def __torch_dispatch__(self, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor):
                self.entries = max(self.entries, tensor.numel())
        return result


def test_memory_does_not_grow_with_queries_times_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generators.nearest.BOUNDS", 1)
    nearest = NearestExample(torch.randn(4000, 2), torch.zeros(4000, dtype=torch.int64), block=100)
    x, y = torch.randn(1000, 2), torch.ones(1000, dtype=torch.int64)
    assert len(nearest.digest) == 16
    with LargestTensor() as largest:
        nearest(x, y, 0 * y)
    assert largest.entries == 100 * 100


def test_no_more_than_a_block_of_examples_is_ever_read() -> None:
    examples = CountedExamples(correlated(500, 300), torch.arange(500) % 2)
    nearest = NearestExample(examples, block=32)
    nearest(correlated(70, 300), torch.zeros(70, dtype=torch.int64), torch.ones(70, dtype=torch.int64))
    assert examples.at_a_time == 32
    assert nearest.digest == NearestExample(examples.images, examples.labels).digest


def test_few_examples_are_compared_where_they_differ_along_few_directions() -> None:
    """After one pass over all, and one over those from which the directions are made."""
    examples = CountedExamples(correlated(3000, 300), torch.zeros(3000, dtype=torch.int64))
    nearest, x, y = NearestExample(examples), correlated(20, 300), torch.ones(20, dtype=torch.int64)
    nearest(x, y, 0 * y)
    first, found = examples.read_in_all, nearest(x, y, 0 * y)
    assert first < 3000 + 1024 + 20 * 10
    assert examples.read_in_all == first + 20  # what was found is only read
    assert torch.equal(found, brute_force(x, 0 * y, examples.images, examples.labels))


@pytest.mark.parametrize("size", [1, 5, 200])
def test_examples_without_a_direction_in_which_they_differ_are_all_found(size: int) -> None:
    """A sketch of noise, of equal examples or of one alone rules out little or nothing, and never the nearest."""
    for examples in (torch.randn(300, size), torch.ones(300, size), torch.ones(1, size)):
        labels, x = torch.zeros(len(examples), dtype=torch.int64), torch.randn(7, size)
        y = torch.ones(7, dtype=torch.int64)
        assert torch.equal(NearestExample(examples, labels)(x, y, 0 * y), brute_force(x, 0 * y, examples, labels))


@pytest.mark.parametrize("scale", [1e-10, 1.0, 1e10])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_bounds_are_below_distances(scale: float, offset: float) -> None:
    x, examples = scale * (offset + correlated(50, 300)), scale * (offset + correlated(400, 300))
    examples[:50] = x  # of which the distance is 0
    directions = Directions(examples[::4], 40)
    x, examples = directions.centred(x), directions.centred(examples)
    bounds = lower_bounds(directions.sketch(x), directions.sketch(examples).float())
    distances = (x.unsqueeze(1) - examples).norm(dim=2)
    assert (bounds <= distances).all()
    assert bounds[:, 50:].mean() > 0.95 * distances[:, 50:].mean()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_digest_is_that_of_all_examples_class_by_class(dtype: torch.dtype) -> None:
    """As records of earlier versions know it."""
    examples = torch.arange(24, dtype=dtype).reshape(6, 1, 2, 2) / 7
    expected = {torch.float32: "564c69ac413abadf", torch.float64: "595714774bb1e137"}[dtype]
    assert NearestExample(examples, torch.tensor([1, 0, 1, 0, 4, 1]), block=2).digest == expected


def kept(path: Path, examples: Tensor) -> tuple[CountedExamples, NearestExample]:
    counted = CountedExamples(examples, torch.zeros(len(examples), dtype=torch.int64))
    return counted, NearestExample(counted, keep=path)


def test_what_was_found_is_kept_for_the_next_measurement(tmp_path: Path) -> None:
    examples, x, y = correlated(500, 200), correlated(6, 200), torch.ones(6, dtype=torch.int64)
    first = kept(tmp_path / "found", examples)[1](x[:4], y[:4], 0 * y[:4])
    counted, again = kept(tmp_path / "found", examples)
    assert len(again.digest) == 16
    counted.read_in_all = 0
    assert torch.equal(again(x[:4], y[:4], 0 * y[:4]), first)
    assert counted.read_in_all == 4
    assert torch.equal(again(x, y, 0 * y), brute_force(x, 0 * y, examples, counted.labels))
    assert (tmp_path / "found").stat().st_size == 6 * 24


def test_half_a_row_that_a_killed_process_left_is_dropped(tmp_path: Path) -> None:
    path, examples, x = tmp_path / "found", correlated(50, 20), correlated(6, 20)
    y = torch.ones(6, dtype=torch.int64)
    expected = kept(path, examples)[1](x, y, 0 * y)
    path.write_bytes(path.read_bytes()[:-5])
    assert torch.equal(kept(path, examples)[1](x, y, 0 * y), expected)
    assert path.stat().st_size == 6 * 24


def test_what_was_kept_for_other_examples_is_refused(tmp_path: Path) -> None:
    examples, x, y = correlated(50, 20), correlated(6, 20), torch.ones(6, dtype=torch.int64)
    kept(tmp_path / "found", examples)[1](x, y, 0 * y)
    with pytest.raises(ValueError, match="holds residuals of something else: `digest` is"):
        kept(tmp_path / "found", examples + 1)[1](x, y, 0 * y)


@pytest.mark.parametrize("changed", ["x", "target", "dtype"])
def test_another_question_is_not_taken_for_one_that_was_asked(changed: str) -> None:
    examples, labels = torch.tensor([[0.0, 1], [4, 4], [1, 0], [5, 5]]), torch.tensor([0, 0, 1, 1])
    nearest, x, y = NearestExample(examples, labels), torch.tensor([[4.0, 5]]), torch.tensor([2])
    assert nearest(x, y, torch.tensor([0])).tolist() == [[0, -1]]
    other = {
        "x": (torch.zeros(1, 2), torch.tensor([0]), [[0, 1]]),
        "target": (x, torch.tensor([1]), [[1, 0]]),
        "dtype": (x.double(), torch.tensor([0]), [[0, -1]]),
    }[changed]
    assert nearest(other[0], y, other[1]).tolist() == other[2]


def test_memory_of_what_was_found_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generators.found.ROOM", 10)
    nearest, y = (
        NearestExample(torch.randn(9, 3), torch.zeros(9, dtype=torch.int64)),
        torch.ones(8, dtype=torch.int64),
    )
    for _ in range(3):
        nearest(torch.randn(8, 3), y, 0 * y)
    assert len(nearest._found) == 8


@pytest.mark.parametrize("shape", SHAPES)
def test_no_queries_have_no_residuals(shape: tuple[int, ...]) -> None:
    none = torch.zeros(0, dtype=torch.int64)
    nearest = NearestExample(torch.ones(2, *shape), torch.tensor([0, 1]))
    assert nearest(torch.ones(0, *shape), none, none).shape == (0, *shape)


def test_class_without_examples_is_refused() -> None:
    nearest = NearestExample(torch.ones(2, 3), torch.tensor([0, 2]))
    with pytest.raises(ValueError, match=r"`target` should be among the classes with examples, \[0, 2\]. Found 1"):
        nearest(torch.ones(2, 3), torch.tensor([0, 0]), torch.tensor([2, 1]))


def test_images_of_another_size_are_refused() -> None:
    nearest = NearestExample(torch.ones(2, 3), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"`x` should hold samples of shape \(3,\), as the examples\. Found \(4,\)"):
        nearest(torch.ones(1, 4), torch.tensor([0]), torch.tensor([1]))


def test_images_of_another_shape_and_the_same_size_are_refused() -> None:
    nearest = NearestExample(torch.ones(2, 1, 4, 4), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"`x` should hold samples of shape \(1, 4, 4\)"):
        nearest(torch.ones(1, 1, 2, 8), torch.tensor([0]), torch.tensor([1]))


def test_nan_has_no_nearest_example() -> None:
    nearest = NearestExample(torch.ones(2, 3), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="`x` should be finite"):
        nearest(torch.full((1, 3), torch.nan), torch.tensor([0]), torch.tensor([1]))


def test_examples_without_labels_are_refused(as_in_production: None) -> None:
    with pytest.raises(ValueError, match=r"`labels` should be one per example, 3\. Found 2 labels"):
        NearestExample(torch.ones(3, 2), torch.tensor([0, 1]))


@pytest.mark.parametrize("block", [0, -1])
def test_blocks_without_examples_are_refused(block: int) -> None:
    with pytest.raises(ValueError, match=f"`block` should be at least 1. Found {block}"):
        NearestExample(torch.ones(1, 2), torch.tensor([0]), block=block)


def test_examples_without_labels_are_refused_when_they_are_left_out() -> None:
    with pytest.raises(ValueError, match=r"`labels` should be one per example, 3\. Found None"):
        NearestExample(torch.ones(3, 2))


def test_examples_that_are_not_finite_are_refused() -> None:
    nearest = NearestExample(torch.tensor([[1.0], [torch.nan]]), torch.tensor([0, 0]))
    with pytest.raises(ValueError, match="`examples` should be finite"):
        nearest(torch.ones(1, 1), torch.tensor([1]), torch.tensor([0]))

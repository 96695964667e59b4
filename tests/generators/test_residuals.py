import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from generators import ExactResidual, NearestExample, ResidualEstimator, radial, towards_prototypes

Rule = Callable[[Tensor, Tensor, Tensor], Tensor]
SHAPES = [(6,), (2, 3), (1, 2, 3)]
BATCHES = [1, 3, 8]


def on_spheres(size: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    y = torch.arange(size) % 2
    x = torch.randn(size, *shape, dtype=torch.float64)
    x *= ((1 + 0.3 * y.double()) / x.flatten(1).norm(dim=1)).reshape(-1, *[1] * len(shape))
    return x.to(dtype), y


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_residuals_of_spheres_are_those_of_the_paper(dtype: torch.dtype, batch: int, shape: tuple[int, ...]) -> None:
    """Equation 19."""
    x, y = on_spheres(batch, shape, dtype)
    expected = torch.stack([0.3 * image if own == 0 else -0.3 * image / 1.3 for image, own in zip(x, y, strict=True)])
    residual = ExactResidual(radial((1.0, 1.3)))(x, y, 1 - y)
    assert residual.dtype == dtype
    torch.testing.assert_close(residual, expected, rtol=4 * torch.finfo(dtype).eps, atol=0)


def test_scale_between_spheres_is_rounded_only_once() -> None:
    y = torch.tensor([0, 1])
    residual = radial((1.0, 1.3))(torch.ones(2, 1), y, 1 - y)
    assert torch.equal(residual, torch.tensor([[0.3], [-0.3 / 1.3]]))


def test_residual_of_spheres_ends_on_the_other_sphere_and_leads_back() -> None:
    rule, (x, y) = radial((1.0, 1.3)), on_spheres(8, (500,))
    there = rule(x, y, 1 - y)
    torch.testing.assert_close((x + there).norm(dim=1), 1.3 - 0.3 * y.double(), rtol=0, atol=1e-14)
    torch.testing.assert_close(rule(x + there, 1 - y, y), -there, rtol=0, atol=1e-15)


def test_radial_residual_knows_more_than_two_spheres() -> None:
    x, y, target = torch.eye(3), torch.tensor([0, 0, 0]), torch.tensor([0, 1, 2])
    assert torch.equal(radial((1.0, 3.0, 0.5))(x, y, target), torch.diag(torch.tensor([0.0, 2.0, -0.5])))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("batch", BATCHES)
def test_prototypes_change_the_class_and_keep_the_noise(batch: int, shape: tuple[int, ...]) -> None:
    # Integers, so that sums are exact.
    prototypes, noise = torch.randint(9, (3, *shape)).float(), torch.randint(9, (batch, *shape)).float()
    y = torch.arange(batch) % 3
    target = (y + 1) % 3
    x = prototypes[y] + noise
    residual = ExactResidual(towards_prototypes(prototypes))(x, y, target)
    assert torch.equal(x + residual, prototypes[target] + noise)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_residual_towards_prototypes_has_the_precision_of_the_image(dtype: torch.dtype) -> None:
    y = torch.tensor([0, 1])
    assert towards_prototypes(torch.ones(2, 3))(torch.ones(2, 3, dtype=dtype), y, 1 - y).dtype == dtype


def test_estimators_are_recognised() -> None:
    assert isinstance(ExactResidual(radial((1.0, 1.3))), ResidualEstimator)
    assert isinstance(NearestExample(torch.ones(1, 2), torch.tensor([0])), ResidualEstimator)
    assert not isinstance(radial((1.0, 1.3)), ResidualEstimator)


def brute_force(x: Tensor, target: Tensor, examples: Tensor, labels: Tensor) -> Tensor:
    queries, table = (tensor.flatten(1).double().numpy() for tensor in (x, examples))
    distances = ((queries[:, None] - table) ** 2).sum(2)
    distances[target.numpy()[:, None] != labels.numpy()] = np.inf
    return examples[torch.from_numpy(distances.argmin(1))] - x


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("block", [1, 2, 7, 4096])
def test_nearest_example_is_that_of_brute_force(block: int, batch: int, shape: tuple[int, ...]) -> None:
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
    assert torch.equal(nearest.examples[0], kept[labels == 0])


class LargestTensor(TorchDispatchMode):
    """Remembers the number of entries of the largest tensor that any operation returns."""

    entries = 0

    def __torch_dispatch__(self, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor):
                self.entries = max(self.entries, tensor.numel())
        return result


def test_memory_does_not_grow_with_queries_times_examples() -> None:
    nearest = NearestExample(torch.randn(4000, 2), torch.zeros(4000, dtype=torch.int64), block=100)
    x, y = torch.randn(1000, 2), torch.ones(1000, dtype=torch.int64)
    with LargestTensor() as largest:
        nearest(x, y, 0 * y)
    assert largest.entries == 100 * 100


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


@pytest.mark.parametrize("rule", [radial((1.0, 1.3)), towards_prototypes(torch.eye(2))], ids=["radial", "prototypes"])
@pytest.mark.parametrize(("y", "target"), [(-1, 1), (0, 2)])
def test_exact_residuals_know_their_classes(rule: Rule, y: int, target: int) -> None:
    with pytest.raises(ValueError, match=r"should lie in \[0, 2\)"):
        ExactResidual(rule)(torch.ones(1, 2), torch.tensor([y]), torch.tensor([target]))


@pytest.mark.parametrize("rule", [radial((1.0, 1.3)), towards_prototypes(torch.eye(2))], ids=["radial", "prototypes"])
def test_exact_residuals_survive_pickling(rule: Rule) -> None:
    work = torch.ones(1, 2), torch.tensor([0]), torch.tensor([1])
    assert torch.equal(pickle.loads(pickle.dumps(ExactResidual(rule)))(*work), ExactResidual(rule)(*work))


def test_examples_without_labels_are_refused(as_in_production: None) -> None:
    with pytest.raises(ValueError, match=r"`labels` should be one per example, 3\. Found 2 labels"):
        NearestExample(torch.ones(3, 2), torch.tensor([0, 1]))


@pytest.mark.parametrize("block", [0, -1])
def test_blocks_without_examples_are_refused(block: int) -> None:
    with pytest.raises(ValueError, match=f"`block` should be at least 1. Found {block}"):
        NearestExample(torch.ones(1, 2), torch.tensor([0]), block=block)

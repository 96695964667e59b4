import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

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


@pytest.mark.parametrize("rule", [radial((1.0, 1.3)), towards_prototypes(torch.eye(2))], ids=["radial", "prototypes"])
@pytest.mark.parametrize(("y", "target"), [(-1, 1), (0, 2)])
def test_exact_residuals_know_their_classes(rule: Rule, y: int, target: int) -> None:
    with pytest.raises(ValueError, match=r"should lie in \[0, 2\)"):
        ExactResidual(rule)(torch.ones(1, 2), torch.tensor([y]), torch.tensor([target]))


@pytest.mark.parametrize("rule", [radial((1.0, 1.3)), towards_prototypes(torch.eye(2))], ids=["radial", "prototypes"])
def test_exact_residuals_survive_pickling(rule: Rule) -> None:
    work = torch.ones(1, 2), torch.tensor([0]), torch.tensor([1])
    assert torch.equal(pickle.loads(pickle.dumps(ExactResidual(rule)))(*work), ExactResidual(rule)(*work))

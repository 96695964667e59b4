"""The penalty on the Jacobian: exact against torch's own, and its estimate against the exact one."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import jacrev, vmap

from alignment.jacobian import jacobian_penalty, random_projections
from tests.alignment.classifiers import SHAPES, Answer, Counted, smooth
from tests.conftest import Linear


def reference(classifier: nn.Module, x: Tensor) -> Tensor:
    """½ mean ‖J‖_F² from whole Jacobians, one sample at a time."""
    jacobians = vmap(jacrev(lambda one: classifier(one.unsqueeze(0)).squeeze(0)))(x)
    return 0.5 * jacobians.flatten(1).square().sum(dim=1).mean()


def some(size: int, shape: tuple[int, ...] = (6,)) -> Tensor:
    return torch.randn(size, *shape, dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("classes", [2, 5])
def test_exact_form_is_half_the_squared_frobenius_norm(classes: int, shape: tuple[int, ...]) -> None:
    classifier, x = smooth(6, classes), some(4, shape)
    torch.testing.assert_close(jacobian_penalty(classifier, x).detach(), reference(classifier, x).detach())


def test_any_orthonormal_basis_is_exact() -> None:
    classifier, x = smooth(6, 4), some(5)
    basis, _ = torch.linalg.qr(some(5, (4, 4)))
    torch.testing.assert_close(jacobian_penalty(classifier, x, basis), jacobian_penalty(classifier, x))


def test_closed_form_of_a_linear_classifier(linear: Linear) -> None:
    """½ ‖W‖_F², whose gradient is W."""
    classifier = linear(6, 3, torch.float64)
    penalty = jacobian_penalty(classifier, some(4))
    (slope,) = torch.autograd.grad(penalty, [classifier[1].weight])
    assert penalty.item() == pytest.approx(0.5 * classifier[1].weight.square().sum().item(), rel=1e-14)
    torch.testing.assert_close(slope, classifier[1].weight.detach())


def test_estimate_is_right_on_average() -> None:
    """Of one projection, over many samples: within four standard errors of the exact norm."""
    classifier, x = smooth(6, 4), some(1).expand(1, 6)
    exact = jacobian_penalty(classifier, x).item()
    projections = random_projections(some(4000, (1, 4)))
    assert (projections.norm(dim=2) - 1).abs().max() < 1e-12
    each = torch.stack([jacobian_penalty(classifier, x, one.unsqueeze(0)).detach() for one in projections[:144]])
    error = each.std() / 12
    assert abs(each.mean() - exact) < 4 * error
    assert error < 0.2 * exact


def test_error_of_the_estimate_falls_as_one_over_the_root_of_its_projections() -> None:
    classifier, x = smooth(6, 6), some(300)
    with torch.no_grad():
        x.copy_(x[:1].expand_as(x))
    jacobian = jacrev(lambda one: classifier(one.unsqueeze(0)).squeeze(0))(x[0]).detach()

    def spread(count: int) -> float:
        along = random_projections(some(3000, (count, 6)))
        return (6 / count * (along @ jacobian).square().sum(dim=(1, 2))).std().item()

    assert spread(4) / spread(16) == pytest.approx(2, rel=0.1)
    along = random_projections(some(300, (16, 6)))
    expected = 0.5 * (6 / 16 * (along @ jacobian).square().sum(dim=(1, 2))).mean()
    torch.testing.assert_close(jacobian_penalty(classifier, x, along).detach(), expected)


def test_of_batch_norm_it_is_that_of_samples_only_if_that_is_frozen() -> None:
    # Normalised batches have the mean 0 whatever x is, so that the sum of their logits never moves.
    classifier, x = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 4)).double(), some(5)
    assert jacobian_penalty(classifier, x).item() == pytest.approx(0, abs=1e-12)
    assert jacobian_penalty(classifier, x, random_projections(some(5, (1, 4)))).item() > 1e-3
    classifier.eval()
    torch.testing.assert_close(jacobian_penalty(classifier, x), reference(classifier, x))


def test_gradient_matches_finite_differences() -> None:
    x, along = some(3), random_projections(some(3, (2, 4)))

    def penalty(first: Tensor, second: Tensor) -> Tensor:
        return jacobian_penalty(Answer(lambda inputs: (inputs @ first).tanh() @ second), x, along)

    first, second = some(6, (3,)), some(3, (4,))
    assert torch.autograd.gradcheck(penalty, (first.requires_grad_(), second.requires_grad_()), atol=1e-8, rtol=1e-6)


def test_known_logits_save_the_forward_pass_and_no_samples_need_none() -> None:
    counted, x = Counted(smooth(6, 3)), some(4).requires_grad_()
    assert torch.equal(jacobian_penalty(counted, x, logits=counted(x)), jacobian_penalty(counted.network, x))
    assert jacobian_penalty(counted, x[:0]).item() == 0
    assert counted.forwards == 1


@pytest.mark.parametrize("shape", [(4, 3), (4, 2, 5), (3, 2, 3), (4, 0, 3)])
def test_projections_of_another_shape_are_refused(shape: tuple[int, ...], as_in_production: None) -> None:
    with pytest.raises(ValueError, match=r"`projections` should have shape \(4, N, 3\) with N ≥ 1. Found"):
        jacobian_penalty(smooth(6, 3), some(4), torch.ones(shape, dtype=torch.float64))

"""What a step promises: exact on quadratics, where the Taylor expansion ends, and never broken by AGR."""

import math

import pytest
import torch
from torch import Tensor

from training import AGR
from training.descent import promised_descent, smoothness_along

DOUBLE = torch.float64


def quadratic(curvatures: Tensor, centre: Tensor, w: Tensor) -> Tensor:
    """½ Σ k (w − centre)², whose gradient is k (w − centre) and whose Lipschitz constant is the largest k."""
    return 0.5 * (curvatures * (w - centre).square()).sum()


def split(w: Tensor) -> list[Tensor]:
    return [w[:3], w[3:].reshape(1, 2)]


def test_promise_of_a_quadratic_of_equal_curvature_is_exact():
    """L = k/2 ‖w‖², with η = 1/(2k) along ∇L: η‖∇L‖² − k η² ‖∇L‖² / 2 = 3/8 k ‖w‖²."""
    w, k = torch.tensor([1.0, -2.0, 2.0], dtype=DOUBLE), 4.0
    found = promised_descent({"clean": [k * w]}, [k * w], learning_rate=1 / (2 * k), smoothness=k)["clean"]
    assert float(found.promised) == pytest.approx(k * 9 / 2)
    assert float(found.remainder) == pytest.approx(k * 9 / 8)
    assert float(found.at_least) == pytest.approx(3 / 8 * k * 9)
    true = quadratic(torch.full((3,), k, dtype=DOUBLE), 0 * w, w) - quadratic(
        torch.full((3,), k, dtype=DOUBLE), 0 * w, w / 2
    )
    assert float(found.at_least) == pytest.approx(float(true))
    assert float(found.largest_rate) == pytest.approx(2 / k)  # beyond which plain descent diverges


@pytest.mark.parametrize("rate", [0.01, 0.1, 1.0])
def test_true_descent_of_both_losses_lies_within_the_bounds(rate):
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        w = torch.randn(5, generator=generator, dtype=DOUBLE)
        curvatures = {name: torch.rand(5, generator=generator, dtype=DOUBLE) for name in ("clean", "adversarial")}
        centres = {name: torch.randn(5, generator=generator, dtype=DOUBLE) for name in curvatures}
        gradients = {name: split(curvatures[name] * (w - centres[name])) for name in curvatures}
        followed = AGR()(gradients)
        step = torch.cat([part.flatten() for part in followed])
        limits = {name: float(k.max()) for name, k in curvatures.items()}
        found = promised_descent(gradients, followed, learning_rate=rate, smoothness=limits)
        for name, k in curvatures.items():
            true = quadratic(k, centres[name], w) - quadratic(k, centres[name], w - rate * step)
            assert found[name].at_least - 1e-12 <= true <= found[name].at_most + 1e-12
            assert (found[name].per_tensor >= -1e-12).all()  # Theorem 4.1


def test_tensors_are_told_apart_and_add_up():
    gradients = {"clean": [torch.tensor([2.0, 0.0]), torch.tensor([1.0])]}
    found = promised_descent(gradients, [torch.tensor([1.0, 5.0]), torch.tensor([-3.0])], learning_rate=0.5)["clean"]
    assert found.per_tensor.tolist() == [1.0, -1.5]
    assert (float(found.promised), float(found.remainder)) == (-0.5, 0.0)


@pytest.mark.parametrize(
    ("followed", "smoothness", "largest"),
    [(1.0, 0.0, math.inf), (-1.0, 0.0, 0.0), (-1.0, 2.0, 0.0), (4.0, 2.0, 0.75)],
)
def test_largest_rate_at_which_the_loss_falls_for_certain(followed, smoothness, largest):
    """∇L = 3: the bound η·3·g − M η² g² / 2 is 0 at η = 6 / (M g)."""
    gradient, step = [torch.tensor([3.0])], [torch.tensor([followed])]
    found = promised_descent({"clean": gradient}, step, learning_rate=0.1, smoothness=smoothness)["clean"]
    assert float(found.largest_rate) == largest


def test_step_of_zero_promises_nothing():
    found = promised_descent({"clean": [torch.ones(2)]}, [torch.zeros(2)], learning_rate=1.0, smoothness=3.0)["clean"]
    assert (float(found.promised), float(found.at_least), float(found.largest_rate)) == (0, 0, math.inf)


def test_smoothness_along_an_eigenvector_is_its_curvature():
    curvatures, w = torch.tensor([1.0, 5.0, 3.0]), torch.tensor([0.5, 0.5, 0.5])
    moved = torch.tensor([0.0, -0.2, 0.0])
    found = smoothness_along([curvatures * w], [curvatures * (w + moved)], [moved])
    assert float(found) == pytest.approx(5.0, rel=1e-6)
    assert float(smoothness_along([w], [w], [0 * w])) == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"learning_rate": -0.1}, "`learning_rate` should be finite and at least 0. Found -0.1"),
        ({"learning_rate": math.nan}, "`learning_rate` should be finite and at least 0. Found nan"),
        ({"smoothness": math.inf}, "`smoothness` should be finite and at least 0. Found inf"),
        ({"smoothness": {"adversarial": 1.0}}, "`smoothness` should have a value for the loss 'clean'"),
        ({"followed": []}, "`followed` should have one tensor per parameter, 1, like the gradients. Found 0"),
        ({"followed": [torch.ones(3)]}, r"`followed` should have the shape of `gradients`, \(2,\). Found \(3,\)"),
    ],
)
def test_what_makes_no_sense_is_refused(changed, message):
    given = {"gradients": {"clean": [torch.ones(2)]}, "followed": [torch.ones(2)], "learning_rate": 0.1}
    with pytest.raises(ValueError, match=message):
        promised_descent(**{**given, **changed})

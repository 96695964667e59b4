"""The step in L1 against a coordinate-by-coordinate account of it, and against linear programming."""

import math

import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor

from tests.properties import assert_within
from training.balls import L1Ball, unit

BOUNDS = (-1.0, 1.0)
UNBOUNDED = (-math.inf, math.inf)
each_bounds = pytest.mark.parametrize("bounds", [BOUNDS, UNBOUNDED])


def naive_step(x: list, radius: float, bounds: tuple, point: list, gradient: list, stride: float) -> list:
    """Spend the stride where the gradient is largest, then give back what is too much where it is least missed."""
    end = list(point)
    for i in sorted(range(len(x)), key=lambda i: -abs(gradient[i])):
        if gradient[i] > 0:
            move = min(stride, bounds[1] - end[i])
        elif gradient[i] < 0:
            move = -min(stride, end[i] - bounds[0])
        else:
            move = 0
        end[i], stride = end[i] + move, stride - abs(move)
    surplus = max(sum(abs(a - b) for a, b in zip(end, x, strict=True)) - radius, 0)
    for i in sorted(range(len(x)), key=lambda i: gradient[i] * math.copysign(1, end[i] - x[i])):
        back = min(surplus, abs(end[i] - x[i]))
        end[i], surplus = end[i] - math.copysign(back, end[i] - x[i]), surplus - back
    return end


def problem(count: int, features: int, bounds: tuple[float, float]) -> tuple[L1Ball, Tensor, Tensor]:
    """Balls, points in them, and gradients, each with one zero."""
    x = torch.rand(count, features, dtype=torch.float64) * 2 - 1
    ball = L1Ball(x, torch.linspace(0.05, 3, count, dtype=torch.float64), bounds)
    gradient = torch.randn(count, features, dtype=torch.float64)
    gradient[:, 0] = 0
    return ball, ball.random_point(torch.Generator().manual_seed(0)), gradient


@each_bounds
@pytest.mark.parametrize("features", [1, 2, 30])
@pytest.mark.parametrize("share", [0.01, 0.3, 3.0])
def test_step_agrees_with_a_naive_one(features: int, share: float, bounds: tuple[float, float]) -> None:
    ball, point, gradient = problem(40, features, bounds)
    stride = share * ball.radius
    expected = [
        naive_step(*arguments)
        for arguments in zip(
            ball.x.tolist(),
            (ball.radius * (1 - 1e-6)).tolist(),
            [bounds] * 40,
            point.tolist(),
            gradient.tolist(),
            stride.tolist(),
            strict=True,
        )
    ]
    result = ball.step(point.clone(), gradient.clone(), stride)
    torch.testing.assert_close(result, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


@each_bounds
def test_one_long_step_from_the_centre_is_optimal(bounds: tuple[float, float]) -> None:
    ball, _, gradient = problem(20, 10, bounds)
    result = ball.step(ball.x.clone(), gradient, ball.radius)
    gained = ((result - ball.x) * gradient).sum(dim=1)
    for i in range(20):
        up_and_down = torch.cat([gradient[i], -gradient[i]]).numpy()
        room = torch.cat([bounds[1] - ball.x[i], ball.x[i] - bounds[0]])
        limits = [(0, float(value) if math.isfinite(value) else None) for value in room]
        budget = [float(ball.radius[i])]
        best = -linprog(-up_and_down, A_ub=[[1.0] * 20], b_ub=budget, bounds=limits).fun
        assert float(gained[i]) == pytest.approx(best, rel=2e-6)


@each_bounds
def test_steps_stay_within_ball_and_bounds_and_never_lower_the_linear_gain(bounds: tuple[float, float]) -> None:
    ball, point, gradient = problem(40, 30, bounds)
    for _ in range(20):
        before, point = point, ball.step(point, gradient, 0.1 * ball.radius)
        assert_within(point, ball.x, ball.radius, 1, bounds)
        assert (((point - before) * gradient).sum(dim=1) > -1e-12).all()


def test_step_changes_neither_the_point_nor_the_gradient() -> None:
    ball, point, gradient = problem(5, 6, BOUNDS)
    copies = point.clone(), gradient.clone()
    ball.step(point, gradient, ball.radius)
    assert torch.equal(point, copies[0])
    assert torch.equal(gradient, copies[1])


def test_random_point_is_moved_into_the_bounds() -> None:
    x = torch.full((100, 3), 0.99)
    ball = L1Ball(x, torch.full((100,), 2.0), BOUNDS)
    point = ball.random_point(torch.Generator().manual_seed(0))
    assert_within(point, x, ball.radius, 1, BOUNDS)
    assert (point == 1).any()


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("order", [1.0, 2.0])
def test_unit_vectors_have_length_one(scale: float, order: float) -> None:
    vectors = scale * torch.randn(4, 2, 5)
    length = torch.linalg.vector_norm(unit(vectors, order).flatten(1), ord=order, dim=1)
    torch.testing.assert_close(length, torch.ones(4))
    assert torch.equal(unit(torch.zeros(2, 3), order), torch.zeros(2, 3))


@pytest.mark.parametrize("bounds", [(-2.117904, 2.64), (0.1, 0.9)])
def test_step_to_bounds_that_float32_rounds_stays_within_them(bounds: tuple[float, float]) -> None:
    x = (bounds[0] + (bounds[1] - bounds[0]) * torch.rand(20, 300)).clamp(*bounds)
    result = L1Ball(x, torch.full((20,), 1e4), bounds).step(x, torch.randn(20, 300), torch.full((20,), 1e4))
    assert torch.equal(result, result.clamp(*bounds))
    assert torch.equal(result.amin(), x.new_tensor(bounds[0]))
    assert torch.equal(result.amax(), x.new_tensor(bounds[1]))

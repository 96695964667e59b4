"""Minimisation in a box: known minima, nothing shared between problems, never uphill."""

import itertools
import math

import pytest
import torch
from scipy.optimize import minimize as scipy_minimize
from torch import Tensor

from generators.bounded_lbfgs import Evaluation, Minima, minimise

DOUBLE = torch.float64


class Quadratics:
    """½ (p − m)ᵀ A (p − m) + bᵀ (p − m) + 1 with random A > 0: in [−1, 1]ⁿ the minimum is 1, at m.

    A third of m lies on a bound, against which b pushes.
    """

    def __init__(self, count: int, size: int) -> None:
        root = torch.randn(count, size, size, dtype=DOUBLE)
        self.curvature = root @ root.mT / size + 0.1 * torch.eye(size, dtype=DOUBLE)
        self.minimum = 1.6 * torch.rand(count, size, dtype=DOUBLE) - 0.8
        bound = torch.rand(count, size) < 1 / 3
        self.minimum = torch.where(bound, self.minimum.sign(), self.minimum)
        self.push = torch.where(bound, -self.minimum * torch.rand(count, size, dtype=DOUBLE), 0)

    def __call__(self, point: Tensor, problem: Tensor) -> Evaluation:
        shift, push = point - self.minimum[problem], self.push[problem]
        bent = (self.curvature[problem] @ shift.unsqueeze(2)).squeeze(2)
        value = (shift * (bent / 2 + push)).sum(dim=1) + 1
        return Evaluation(value, bent + push, value < 0)


class Rosenbrock:
    """(1 − u)² + 100 (v − u²)², once for every start."""

    def __call__(self, point: Tensor, problem: Tensor) -> Evaluation:
        u, v = point.T
        value = (1 - u) ** 2 + 100 * (v - u**2) ** 2
        gradient = torch.stack([-2 * (1 - u) - 400 * u * (v - u**2), 200 * (v - u**2)], dim=1)
        return Evaluation(value, gradient, u > 0)


def solved(objective, start: Tensor, low: float = -1.0, high: float = 1.0, **options) -> Minima:
    """Minimised in a cube, by default until nothing gets lower."""
    low_, high_ = (start.new_full(start.shape[1:], bound) for bound in (low, high))
    first = objective(start, torch.arange(len(start)))
    return minimise(objective, start, first, low_, high_, **({"iterations": 500, "tolerance": 0.0} | options))


@pytest.mark.parametrize("count", [0, 1, 8])
@pytest.mark.parametrize("size", [1, 2, 12])
@pytest.mark.parametrize("memory", [1, 5, 20])
def test_quadratics_end_in_their_minima(count, size, memory):
    problem = Quadratics(count, size)
    found = solved(problem, torch.zeros(count, size, dtype=DOUBLE), memory=memory)
    torch.testing.assert_close(found.point, problem.minimum, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.value, torch.ones(count, dtype=DOUBLE), rtol=0, atol=1e-9)


def test_start_on_the_bounds_is_left_where_it_should_be():
    problem = Quadratics(8, 12)
    corner = torch.randn(8, 12, dtype=DOUBLE).sign()
    torch.testing.assert_close(solved(problem, corner).point, problem.minimum, rtol=0, atol=1e-5)


def test_bounds_that_hold_are_kept_exactly():
    problem = Quadratics(8, 12)
    found = solved(problem, torch.zeros(8, 12, dtype=DOUBLE))
    held = problem.minimum.abs() == 1
    assert torch.equal(found.point[held], problem.minimum[held])
    assert found.point.abs().max() <= 1


@pytest.mark.parametrize(("high", "minimum"), [(2.0, (1.0, 1.0)), (0.5, (0.5, 0.25)), (-0.5, (-0.5, -0.5))])
def test_rosenbrock_in_a_box(high, minimum):
    start = torch.tensor([[-1.2, -0.6], [-2.0, -2.0], [-0.7, -1.0]], dtype=DOUBLE)
    found = solved(Rosenbrock(), start, -2.0, high)
    expected = torch.tensor(minimum, dtype=DOUBLE).expand(3, 2)
    torch.testing.assert_close(found.point, expected, rtol=0, atol=1e-5)


def scipy_evaluations(problem: Quadratics, index: int) -> int:
    def value_and_gradient(point):
        found = problem(torch.from_numpy(point).unsqueeze(0), torch.tensor([index]))
        return float(found.value), found.gradient.squeeze(0).numpy()

    start = torch.zeros_like(problem.minimum[index]).numpy()
    options = {"ftol": 1e-9, "gtol": 0.0, "maxcor": 5}
    bounds = [(-1, 1)] * len(start)
    return scipy_minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).nfev


def test_evaluations_are_about_as_many_as_scipy_needs():
    problem = Quadratics(12, 30)
    found = solved(problem, torch.zeros(12, 30, dtype=DOUBLE), tolerance=1e-9)
    assert (found.value < 1 + 1e-6).all()
    reference = sum(scipy_evaluations(problem, index) for index in range(12))
    assert found.evaluations.sum() < 1.5 * reference


def test_true_inverse_hessian_is_newtons_method():
    problem = Quadratics(1, 12)
    problem.minimum, problem.push = problem.minimum / 2, torch.zeros_like(problem.push)
    inverse = problem.curvature[0].inverse()
    found = solved(problem, torch.zeros(1, 12, dtype=DOUBLE), iterations=2, precondition=lambda rows: rows @ inverse)
    torch.testing.assert_close(found.point, problem.minimum, rtol=0, atol=1e-9)


@pytest.mark.parametrize("problem", [Quadratics, Rosenbrock])
def test_problems_do_not_know_each_other(problem):
    start = 2 * torch.rand(6, 2, dtype=DOUBLE) - 1
    objective = problem(6, 2) if problem is Quadratics else problem()
    together = solved(objective, start, iterations=12)

    def only(index: int):
        return lambda point, numbers: objective(point, torch.full_like(numbers, index))

    alone = [solved(only(i), start[i : i + 1], iterations=12) for i in range(6)]
    for name in ("value", "iterations", "evaluations", "goal"):
        assert torch.allclose(getattr(together, name), torch.cat([getattr(one, name) for one in alone])), name
    torch.testing.assert_close(together.point, torch.cat([one.point for one in alone]), rtol=0, atol=1e-9)


def test_values_never_rise():
    start = 2 * torch.rand(16, 2, dtype=DOUBLE) - 1
    values = [solved(Rosenbrock(), start, iterations=count).value for count in range(1, 25, 2)]
    assert all((after <= before).all() for before, after in itertools.pairwise(values))
    assert (values[-1] < values[0]).all()


def test_steps_are_counted_and_limited():
    found = solved(Rosenbrock(), torch.tensor([[-0.9, -0.6]], dtype=DOUBLE), iterations=7)
    assert found.iterations.tolist() == [7]
    assert found.evaluations >= 7


def test_tolerance_ends_what_hardly_gets_lower():
    start = 2 * torch.rand(16, 2, dtype=DOUBLE) - 1
    evaluations = [solved(Rosenbrock(), start, tolerance=size).evaluations.sum() for size in (0.1, 1e-3, 1e-8)]
    assert evaluations == sorted(evaluations)
    assert evaluations[0] < evaluations[2]


class Valley:
    """(p − 1)² + 1 where the goal is met between 0.3 and 0.8 only, so that minimising walks through it."""

    def __call__(self, point: Tensor, problem: Tensor) -> Evaluation:
        place = point.squeeze(1)
        return Evaluation((place - 1) ** 2 + 1, 2 * (point - 1), (place > 0.3) & (place < 0.8))


@pytest.mark.parametrize("stop_at_goal", [False, True])
def test_point_that_meets_the_goal_is_kept(stop_at_goal):
    found = solved(Valley(), torch.tensor([[0.0], [-0.9]], dtype=DOUBLE), 0.0, 1.0, stop_at_goal=stop_at_goal)
    assert found.goal.all() == ((found.point > 0.3) & (found.point < 0.8)).all()
    torch.testing.assert_close(found.value, Valley()(found.point, torch.arange(2)).value)


def test_stopping_at_the_goal_saves_evaluations():
    start = torch.tensor([[-1.2, -0.6], [-1.0, 0.5]], dtype=DOUBLE)
    stopped, whole = (solved(Rosenbrock(), start, -2.0, 2.0, stop_at_goal=stop) for stop in (True, False))
    assert stopped.goal.all()
    assert (stopped.point[:, 0] > 0).all()
    assert (stopped.evaluations < whole.evaluations).all()
    assert (stopped.value > whole.value).all()


def test_level_start_is_the_result():
    def level(point: Tensor, problem: Tensor) -> Evaluation:
        return Evaluation(torch.ones(len(point)), torch.zeros_like(point), torch.zeros(len(point), dtype=torch.bool))

    found = solved(level, torch.zeros(2, 3))
    assert torch.equal(found.point, torch.zeros(2, 3))
    assert found.evaluations.tolist() == [0, 0]


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_what_is_not_finite_is_never_the_result(wrong):
    def broken(point: Tensor, problem: Tensor) -> Evaluation:
        found = Quadratics.__call__(problems, point, problem)
        return found._replace(value=torch.where(point[:, 0] == 0, found.value, wrong))

    problems = Quadratics(3, 4)
    found = solved(broken, torch.zeros(3, 4, dtype=DOUBLE), tolerance=1e-6)
    assert torch.equal(found.point, torch.zeros(3, 4, dtype=DOUBLE))


@pytest.mark.parametrize("outside", [math.nan, math.inf])
def test_hole_is_walked_around(outside):
    """A step into what is no number is shortened, not given up."""

    def hole(point: Tensor, problem: Tensor) -> Evaluation:
        shift = point - 0.9
        wrong = point.abs().amax(dim=1) > 0.5
        value = torch.where(wrong, outside, 1 + shift.square().sum(dim=1))
        return Evaluation(value, torch.where(wrong[:, None], outside, 2 * shift), wrong & False)

    start = torch.zeros(4, 3, dtype=DOUBLE)
    found = solved(hole, start, -math.inf, math.inf, iterations=60, patience=5)
    assert (found.value < 1.6).all()  # 3.43 at the start, 1.48 at the edge


@pytest.mark.parametrize("evaluations", [0, 1, 4])
def test_evaluations_are_limited_for_every_problem(evaluations):
    found = solved(Rosenbrock(), torch.tensor([[-0.9, -0.6], [0.5, 0.9]], dtype=DOUBLE), evaluations=evaluations)
    assert found.evaluations.tolist() == [evaluations] * 2


def test_patience_goes_on_where_one_round_brings_too_little():
    start = torch.tensor([[-0.9, -0.6], [0.5, 0.9], [0.0, 0.0]], dtype=DOUBLE)
    once, often = (solved(Rosenbrock(), start, tolerance=0.05, patience=patience) for patience in (1, 5))
    assert (often.value <= once.value).all()
    assert often.evaluations.sum() > once.evaluations.sum()


def test_no_bounds_are_infinite_ones():
    problem = Quadratics(4, 6)
    problem.minimum, problem.push = 5 * problem.minimum, torch.zeros_like(problem.push)
    found = solved(problem, torch.zeros(4, 6, dtype=DOUBLE), -math.inf, math.inf)
    torch.testing.assert_close(found.point, problem.minimum, rtol=0, atol=1e-5)

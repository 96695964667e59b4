import math

import pytest
import torch
from torch import Tensor

from alignment import cosine_similarity
from alignment.similarity import scaled_norm
from tests.alignment.classifiers import BATCHES, SHAPES

MAGNITUDES = [1e-20, 1e-8, 1.0, 1e8, 1e15]
HALVES = [torch.float16, torch.bfloat16]


def naive(u: Tensor, v: Tensor) -> Tensor:
    u, v = u.detach().double().flatten(1), v.detach().double().flatten(1)
    return (u * v).sum(1) / (u.square().sum(1) * v.square().sum(1)).sqrt()


def derivatives(u: Tensor, v: Tensor) -> tuple[Tensor, ...]:
    u, v = u.clone().requires_grad_(), v.clone().requires_grad_()
    return torch.autograd.grad(cosine_similarity(u, v).value.sum(), (u, v))


def second_derivatives(u: Tensor, v: Tensor) -> tuple[Tensor, ...]:
    u, v = u.clone().requires_grad_(), v.clone().requires_grad_()
    first = torch.autograd.grad(cosine_similarity(u, v).value.sum(), (u, v), create_graph=True)
    return torch.autograd.grad(sum(derivative.square().sum() for derivative in first), (u, v))


@pytest.mark.parametrize("degrees", [0, 30, 90, 135, 180])
def test_known_angles(degrees: float) -> None:
    angle = math.radians(degrees)
    u, v = torch.tensor([[2.0, 0.0]]), torch.tensor([[3 * math.cos(angle), 3 * math.sin(angle)]])
    value, valid = cosine_similarity(u, v)
    assert value.item() == pytest.approx(math.cos(angle), abs=1e-7)
    assert valid.item()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("batch", BATCHES)
def test_every_sample_has_its_own_cosine(batch: int, shape: tuple[int, ...]) -> None:
    u, v = torch.randn(2, batch, *shape, dtype=torch.float64)
    value, valid = cosine_similarity(u, v)
    torch.testing.assert_close(value, naive(u, v), rtol=0, atol=1e-15)
    assert valid.tolist() == [True] * batch


@pytest.mark.parametrize("of_u", MAGNITUDES)
@pytest.mark.parametrize("of_v", MAGNITUDES)
def test_magnitudes_do_not_matter_in_single_precision(of_u: float, of_v: float) -> None:
    u, v = torch.randn(2, 20, 50) * torch.tensor([of_u, of_v]).reshape(2, 1, 1)
    value, valid = cosine_similarity(u, v)
    torch.testing.assert_close(value.double(), naive(u, v), rtol=0, atol=3e-7)
    assert valid.all()


def test_small_and_large_entries_may_stand_side_by_side() -> None:
    u, v = torch.tensor([[1e15, 1e-20, 0.0]]), torch.tensor([[3e-20, 0.0, 4e-20]])
    assert cosine_similarity(u, v).value.item() == pytest.approx(0.6, abs=1e-7)


@pytest.mark.parametrize("magnitude", [1e-15, 1e-5, 1e5, 1e15])
def test_derivatives_are_right_at_every_magnitude(magnitude: float) -> None:
    u, v = torch.randn(2, 10, 20)
    single, double = derivatives(u * magnitude, v), derivatives(u.double() * magnitude, v.double())
    torch.testing.assert_close(single[0].double() * magnitude, double[0] * magnitude, rtol=0, atol=1e-6)
    torch.testing.assert_close(single[1].double(), double[1], rtol=0, atol=1e-6)


def test_derivatives_match_finite_differences() -> None:
    pair = tuple(torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True))
    assert torch.autograd.gradcheck(lambda u, v: cosine_similarity(u, v).value, pair)
    assert torch.autograd.gradgradcheck(lambda u, v: cosine_similarity(u, v).value, pair)


def test_order_does_not_matter() -> None:
    u, v = torch.randn(2, 50, 7)
    assert torch.equal(cosine_similarity(u, v).value, cosine_similarity(v, u).value)


def test_turning_a_vector_round_changes_the_sign() -> None:
    u, v = torch.randn(2, 50, 7)
    assert torch.equal(cosine_similarity(-u, v).value, -cosine_similarity(u, v).value)


def test_parallel_vectors_do_not_exceed_one() -> None:
    u = torch.randn(2000, 7)
    value = cosine_similarity(u, 3 * u).value
    assert value.max() == 1
    assert value.min() > 1 - 1e-6


@pytest.mark.parametrize("zero", ["u", "v", "both"])
def test_zero_vector_has_no_direction(zero: str) -> None:
    u, v = torch.ones(2, 2, 5)
    u[0] *= zero == "v"
    v[0] *= zero == "u"
    value, valid = cosine_similarity(u, v)
    assert value.tolist() == [0, pytest.approx(1)]
    assert valid.tolist() == [False, True]


@pytest.mark.parametrize("zero", ["u", "v", "both"])
def test_zero_vector_has_zero_derivatives(zero: str) -> None:
    u, v = torch.randn(2, 2, 5)
    u[0] *= zero == "v"
    v[0] *= zero == "u"
    for derivative in derivatives(u, v):
        assert derivative[0].tolist() == [0] * 5
        assert derivative[1].abs().min() > 0


@pytest.mark.parametrize("zero", ["u", "v", "both"])
def test_zero_vector_has_zero_second_derivatives(zero: str) -> None:
    u, v = torch.randn(2, 2, 5)
    u[0] *= zero == "v"
    v[0] *= zero == "u"
    for second, alone in zip(second_derivatives(u, v), second_derivatives(u[1:], v[1:]), strict=True):
        assert second[0].tolist() == [0] * 5
        torch.testing.assert_close(second[1:], alone)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_has_a_cosine_of_nan_that_counts(bad: float) -> None:
    u, v = torch.ones(2, 2, 5)
    v[0, 1] = bad
    for value, valid in (cosine_similarity(u, v), cosine_similarity(v, u)):
        assert value.isnan().tolist() == [True, False]
        assert valid.tolist() == [True, True]


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_computed_in_single(dtype: torch.dtype) -> None:
    # In float16 the square of the largest number overflows.
    u, v = torch.randn(20, 50).to(dtype), torch.full((20, 50), 6e4).to(dtype)
    value, _ = cosine_similarity(u, v)
    assert value.dtype == torch.float32
    assert torch.equal(value, cosine_similarity(u.float(), v.float()).value)


@pytest.mark.parametrize("dtype", HALVES)
def test_derivative_of_half_precision_is_half(dtype: torch.dtype) -> None:
    u, v = torch.randn(2, 4, 5).to(dtype)
    half, single = derivatives(u, v), derivatives(u.float(), v.float())
    assert half[0].dtype == dtype
    assert torch.equal(half[0], single[0].to(dtype))


def test_vectors_of_different_shapes_are_refused(as_in_production: None) -> None:
    with pytest.raises(ValueError, match=r"`v` should have the shape of `u`, \(2, 6\). Found \(2, 2, 3\)"):
        cosine_similarity(torch.ones(2, 6), torch.ones(2, 2, 3))


@pytest.mark.parametrize("magnitude", [1e-20, 1.0, 1e15, 1e36])
def test_norm_neither_overflows_nor_underflows(magnitude: float) -> None:
    u = torch.randn(10, 2, 25) * magnitude
    expected = u.double().flatten(1).norm(dim=1)
    torch.testing.assert_close(scaled_norm(u).double(), expected, rtol=3e-7, atol=0)


def test_norm_of_zero_is_zero() -> None:
    assert scaled_norm(torch.zeros(2, 3)).tolist() == [0, 0]

"""Any finite batch, strides, bounds and strengths: an attack stays in its ball and in the bounds, or says why not."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.any_input.profile import FEW
from training import pgd

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
ORDERS = {"Linf": float("inf"), "L2": 2.0}


def linear(size: int, dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(size, 3)).to(dtype)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor, tuple[float, float]]:
    """Inputs of any shape, type and strides within bounds, with labels."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    low = draw(st.floats(-100, 100))
    bounds = (low, low + draw(st.floats(0.01, 100)))
    count, seed = draw(st.integers(1, 4)), draw(st.integers(0, 9))
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(count, *shape, generator=generator, dtype=torch.float64)
    x = (bounds[0] + unit * (bounds[1] - bounds[0])).to(draw(st.sampled_from(DTYPES))).clamp(*bounds)
    if draw(st.booleans()) and x.ndim > 2:
        x = x.transpose(1, 2)
    return x, torch.randint(3, (count,), generator=generator), bounds


@FEW
@given(batches(), st.floats(0, 50), st.sampled_from([*ORDERS]), st.booleans())
def test_pgd_stays_in_its_ball_and_in_the_bounds(
    batch: tuple[Tensor, Tensor, tuple[float, float]], epsilon: float, norm: str, start: bool
) -> None:
    x, y, bounds = batch
    try:
        found = pgd(
            linear(x[0].numel(), x.dtype), x, y, epsilon, norm=norm, steps=3, bounds=bounds, random_start=start
        )
    except ValueError as error:
        assert "should" in str(error)
        return
    assert found.dtype == x.dtype
    assert found.shape == x.shape
    assert torch.isfinite(found).all()
    low, high = torch.tensor(bounds, dtype=x.dtype)  # as near to the bounds as numbers of the type can be
    assert low <= found.min()
    assert found.max() <= high
    far = torch.linalg.vector_norm((found.double() - x.double()).flatten(1), ord=ORDERS[norm], dim=1)
    reach = max(epsilon, float(torch.tensor(epsilon, dtype=x.dtype)))  # as a number of the type
    assert (far <= reach * (1 + 1e-9) + (0 if norm == "Linf" else torch.finfo(x.dtype).eps * rounding(x))).all()


def rounding(x: Tensor) -> float:
    """How far rounding carries a point of the ball in L2, in units of the type's precision."""
    return float(x.double().abs().max()) * x[0].numel() ** 0.5


@pytest.mark.parametrize("wrong", [-1.0, float("nan")])
@FEW
@given(batches())
def test_a_strength_that_is_none_is_refused(wrong: float, batch: tuple[Tensor, Tensor, tuple[float, float]]) -> None:
    x, y, bounds = batch
    with pytest.raises(ValueError, match="`epsilon` should"):
        pgd(linear(x[0].numel(), x.dtype), x, y, wrong, bounds=bounds, steps=1)

"""Any finite batch, strides, bounds and strengths: an attack stays in its ball and in the bounds, or says why not."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from eval import spatial_attack, square_attack
from eval.attacks.spsa import spsa
from tests.any_input.profile import FEW
from training import pgd
from training.attacks import fgsm, mi_fgsm

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
ORDERS = {"Linf": float("inf"), "L2": 2.0}
OTHERS: dict[str, Callable[..., Tensor]] = {
    "FGSM": fgsm,
    "MI-FGSM": partial(mi_fgsm, steps=2),
    "Square": partial(square_attack, queries=12),
    "SPSA": partial(spsa, steps=2, samples=2),
}


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


def moved_in_ball(
    attack: Callable[..., Tensor], batch: tuple[Tensor, Tensor, tuple[float, float]], epsilon: float, norm: str
) -> None:
    """An attack returns inputs of the same kind in the ball and in the bounds, or refuses them in a sentence."""
    x, y, bounds = batch
    classifier, before = linear(x[0].numel(), x.dtype), x.clone()
    try:
        found = attack(classifier, x, y, epsilon, norm=norm, bounds=bounds)
    except ValueError as error:
        assert "should" in str(error)
        return
    assert torch.equal(x, before)
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


@FEW
@given(batches(), st.floats(0, 50), st.sampled_from([*ORDERS]), st.booleans())
def test_pgd_stays_in_its_ball_and_in_the_bounds(
    batch: tuple[Tensor, Tensor, tuple[float, float]], epsilon: float, norm: str, start: bool
) -> None:
    moved_in_ball(partial(pgd, steps=3, random_start=start), batch, epsilon, norm)


@pytest.mark.parametrize("name", OTHERS)
@FEW
@given(batches(), st.floats(0, 50), st.sampled_from([*ORDERS]))
def test_other_attacks_stay_in_theirs(
    name: str, batch: tuple[Tensor, Tensor, tuple[float, float]], epsilon: float, norm: str
) -> None:
    attack = OTHERS[name]
    moved_in_ball(attack, batch, epsilon, "Linf" if name == "SPSA" else norm)


@FEW
@given(batches(), st.floats(0, 50))
def test_pixels_move_within_the_bounds(batch: tuple[Tensor, Tensor, tuple[float, float]], strength: float) -> None:
    x, y, bounds = batch
    try:
        found = spatial_attack(linear(x[0].numel(), x.dtype), x, y, strength, iterations=2, bounds=bounds)
    except ValueError as error:
        assert "should" in str(error)
        return
    assert x.ndim == 4
    assert (found.dtype, found.shape) == (x.dtype, x.shape)
    low, high = torch.tensor(bounds, dtype=x.dtype)
    assert low <= found.min()
    assert found.max() <= high
    assert torch.equal(found, x) or strength > 0


@pytest.mark.parametrize("name", ["PGD", *OTHERS])
@pytest.mark.parametrize("wrong", [-1.0, float("nan")])
@FEW
@given(batches())
def test_a_strength_that_is_none_is_refused(
    wrong: float, name: str, batch: tuple[Tensor, Tensor, tuple[float, float]]
) -> None:
    x, y, bounds = batch
    attack = (OTHERS | {"PGD": partial(pgd, steps=1)})[name]
    with pytest.raises(ValueError, match=r"`(epsilon|strength|step_size)` should"):
        attack(linear(x[0].numel(), x.dtype), x, y, wrong, bounds=bounds)

"""Starts of adversarial training that are perpendicular to Δ̂x."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.alignment.classifiers import smooth
from training import AT, AWP, PerpendicularAT, Strength
from training.balls import ORDER, Norm
from training.perpendicular import perpendicular, perpendicular_start

FREE = (-math.inf, math.inf)
REACH = Strength("0.25")


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def batch_of(size: int = 50, shape: tuple[int, ...] = (2, 4, 3)) -> tuple[Tensor, Tensor, Tensor]:
    x, residual = torch.rand(2, size, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return x, torch.arange(size) % 2, residual - 0.5


def cosines(shift: Tensor, residual: Tensor) -> Tensor:
    return torch.cosine_similarity(shift.flatten(1), residual.flatten(1))


def found(objective: PerpendicularAT, bounds: tuple[float, float] = FREE) -> tuple[Tensor, Tensor]:
    """x' − x, and Δ̂x."""
    x, y, residual = batch_of()
    bound = objective.with_residual(residual)
    return bound.perturbed(smooth(24, 2), x, y, bounds=bounds, generator=seeded()) - x, residual


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
@pytest.mark.parametrize("shape", [(24,), (2, 4, 3)])
def test_start_is_perpendicular_and_in_the_ball_before_clipping(norm: Norm, shape: tuple[int, ...]) -> None:
    _, _, residual = batch_of(shape=shape)
    shift = perpendicular_start(residual, 0.25, norm, seeded())
    length = torch.linalg.vector_norm(shift.flatten(1), ord=ORDER[norm], dim=1)
    assert cosines(shift, residual).abs().max() < 1e-14
    assert length.max() <= 0.25 * (1 + 1e-12)
    assert length.median() > 0.1


def test_where_no_direction_is_known_the_start_is_as_it_was_drawn() -> None:
    x, y, _ = batch_of()
    usual = AT(REACH, steps=1, step_size=Strength(1e-9))
    mine = PerpendicularAT(REACH, steps=0).with_residual(torch.zeros_like(x))
    points = [
        one.perturbed(smooth(24, 2), x, y, bounds=FREE, generator=seeded())  # type: ignore[attr-defined]
        for one in (usual, mine)
    ]
    torch.testing.assert_close(*points, rtol=0, atol=1e-8)


def test_projection_is_one_and_leaves_what_is_perpendicular() -> None:
    x, _, residual = batch_of()
    once = perpendicular(x, residual)
    torch.testing.assert_close(perpendicular(once, residual), once, rtol=0, atol=1e-14)
    torch.testing.assert_close(perpendicular(3 * residual, residual), torch.zeros_like(x), rtol=0, atol=1e-14)


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_noise_is_perpendicular_where_nothing_is_clipped_and_legal_where_it_is(norm: Norm) -> None:
    shift, residual = found(PerpendicularAT(REACH, steps=0, norm=norm))
    assert cosines(shift, residual).abs().max() < 1e-12
    clipped, _ = found(PerpendicularAT(REACH, steps=0, norm=norm), bounds=(0.0, 1.0))
    x = batch_of()[0]
    assert (x + clipped).min() >= 0
    assert (x + clipped).max() <= 1
    assert not torch.equal(clipped, shift)


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
def test_what_pgd_finds_is_perpendicular_only_if_it_is_to_stay_so(norm: Norm) -> None:
    free, residual = found(PerpendicularAT(REACH, steps=3, norm=norm))
    kept, _ = found(PerpendicularAT(REACH, steps=3, norm=norm, stay=True))
    length = torch.linalg.vector_norm(kept.flatten(1), ord=ORDER[norm], dim=1)
    assert cosines(free, residual).abs().max() > 0.1
    assert cosines(kept, residual).abs().max() < 1e-12
    assert length.max() <= 0.25 * (1 + 1e-12)


def test_steps_raise_the_loss_from_the_start() -> None:
    x, y, residual = batch_of()
    classifier, losses = smooth(24, 2), []
    for steps in (0, 10):
        objective = PerpendicularAT(REACH, steps=steps).with_residual(residual)
        loss = objective(classifier, x, y, lambda: classifier(x), bounds=FREE, generator=seeded())["adversarial"]
        losses.append(loss.item())
    assert losses[1] > losses[0]


def test_awp_hands_the_residual_on() -> None:
    x, y, residual = batch_of()
    classifier, inner = smooth(24, 2), PerpendicularAT(REACH, steps=2)
    outer = AWP(inner, gamma=0.0)
    assert outer.takes_residual
    assert not AWP(AT(REACH)).takes_residual
    alone, around = (
        one.with_residual(residual)(classifier, x, y, lambda: classifier(x), bounds=FREE, generator=seeded())
        for one in (inner, outer)
    )
    torch.testing.assert_close(alone["adversarial"], around["adversarial"])
    assert inner.residual is None  # what is bound to a batch is a copy


@pytest.mark.parametrize(
    "options", [{"random_start": False}, {"solver": "apgd"}, {"target": "random"}], ids=["start", "solver", "target"]
)
def test_what_is_no_pgd_from_a_random_start_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="should be left out of PerpendicularAT"):
        PerpendicularAT(REACH, **options)


def test_without_a_residual_it_says_so() -> None:
    x, y, residual = batch_of()
    with pytest.raises(ValueError, match="should be given Δ̂x of a batch by `with_residual`"):
        PerpendicularAT(REACH).perturbed(smooth(24, 2), x, y, bounds=FREE, generator=seeded())
    bound = PerpendicularAT(REACH).with_residual(residual[:, :1])
    with pytest.raises(ValueError, match="`residual` should have the shape of `x`"):
        bound.perturbed(smooth(24, 2), x, y, bounds=FREE, generator=seeded())

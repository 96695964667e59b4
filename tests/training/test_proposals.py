"""Whatever an attack proposes ends in ball and bounds, and what cannot be attacked is refused before it runs."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.properties import assert_within, unchanged
from training.balls import BALLS, ORDER
from training.proposals import Task, settled

NORMS = ("Linf", "L2", "L1")
LINEAR = nn.Linear(6, 3)
every_norm = pytest.mark.parametrize("norm", NORMS)


def run(propose: Callable[[Task], Tensor], **changed: Any) -> Tensor:
    arguments: dict[str, Any] = {
        "classifier": LINEAR,
        "x": torch.linspace(-0.9, 0.9, 24).reshape(4, 6),
        "y": torch.arange(4) % 3,
        "strength": 0.1,
        "norm": "Linf",
        "norms": NORMS,
        "bounds": (-1.0, 1.0),
    }
    return settled(propose, **(arguments | changed))


@every_norm
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e30])
@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (-math.inf, math.inf)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_proposal_is_moved_into_ball_and_bounds(norm, scale, bounds, dtype) -> None:
    x, radius = 2 * torch.rand(4, 2, 3, dtype=dtype) - 1, torch.tensor([0.0, 1e-6, 0.1, 3.0], dtype=dtype)
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(6, 3, dtype=dtype))
    proposal = x + scale * torch.randn(4, 2, 3, dtype=dtype)
    found = run(lambda task: proposal, classifier=classifier, x=x, strength=radius, norm=norm, bounds=bounds)
    assert_within(found, x, radius * (1 + 1e-15), ORDER[norm], bounds)
    assert torch.equal(found[0], x[0])


@every_norm
def test_proposal_inside_is_left_alone(norm) -> None:
    x = torch.zeros(4, 6)
    proposal = BALLS[norm](x, torch.full((4,), 0.1), (-1.0, 1.0)).random_point(torch.Generator().manual_seed(0))
    proposal = 0.99 * proposal
    assert torch.equal(run(lambda task: proposal, x=x, norm=norm), proposal)


def test_attack_that_takes_no_strength_is_moved_into_the_bounds_alone() -> None:
    found = run(lambda task: task.x + 5, strength=None, name=None, norm="L2")
    assert torch.equal(found, torch.ones(4, 6))


def test_task_is_a_copy_in_evaluation_mode_and_nothing_is_left_changed() -> None:
    classifier = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3))
    x, y, strength = torch.rand(4, 6), torch.arange(4) % 3, torch.full((4,), 0.1)
    before = x.clone(), y.clone(), strength.clone()

    def vandal(task: Task) -> Tensor:
        assert not classifier.training
        task.x.fill_(0)
        task.y.fill_(0)
        task.strength.fill_(9)
        return task.x

    with unchanged(classifier), torch.inference_mode():
        run(vandal, classifier=classifier, x=x, y=y, strength=strength)
    assert all(torch.equal(now, then) for now, then in zip((x, y, strength), before, strict=True))


def never(task: Task) -> Tensor:
    raise AssertionError


def test_nothing_is_proposed_for_no_samples() -> None:
    found = run(never, x=torch.rand(0, 6), y=torch.zeros(0, dtype=torch.int64), strength=torch.zeros(0))
    assert found.shape == (0, 6)


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"norm": "L0"}, "`norm` should be one of Linf, L2, L1. Found 'L0'"),
        ({"x": torch.full((4, 6), 2.0)}, "`x` should lie within `bounds`"),
        (
            {"x": torch.zeros(4, 6, dtype=torch.uint8)},
            "`x` should be a tensor of floating-point numbers. Found uint8",
        ),
        ({"y": torch.zeros(4)}, "`y` should be a tensor of int64"),
        ({"y": torch.zeros(3, dtype=torch.int64)}, r"`y` should have shape \(4,\)"),
        ({"strength": -1.0, "name": "epsilon"}, "`epsilon` should be at least 0. Found -1"),
        ({"strength": math.inf}, "`strength` should be finite"),
        ({"strength": math.nan}, "`strength` should be at least 0. Found nan"),
    ],
)
def test_what_cannot_be_attacked_is_refused_before_the_attack_runs(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(never, **changed)


def test_first_logits_are_checked_and_go_with_the_labels() -> None:
    with pytest.raises(ValueError, match=r"`y` should lie in \[0, 3\)"):
        run(lambda task: task.logits(task.x), y=torch.arange(4))
    with pytest.raises(ValueError, match=r"`classifier\(x\)` should be finite"):
        run(lambda task: task.logits(task.x), classifier=nn.Sequential(nn.Linear(6, 3), nn.Threshold(9e9, math.nan)))


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize("strength", [None, "8/255", "much", ["a", "b", "c", "d"], {}])
def test_strength_that_is_no_number_is_refused(strength: Any) -> None:
    with pytest.raises(ValueError, match=r"`strength` should be one number or one per sample. Found "):
        run(never, strength=strength)


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize("form", [list, tuple, np.array, torch.tensor])
def test_strengths_may_be_held_by_any_list(form: Callable[[list[float]], Any]) -> None:
    radii = [0.0, 0.1, 0.2, 0.3]
    found = run(lambda task: task.x + 1, x=torch.zeros(4, 6), strength=form(radii), norm="Linf")
    assert torch.equal(found, torch.tensor(radii)[:, None].expand(4, 6))

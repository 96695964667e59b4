"""Figures, and the signs of masked gradients, are measured on a device without float64 as on a CPU."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from eval.attacks.square import square_attack
from eval.figures.conflict_growth import ConflictGrowth
from eval.figures.descent import StepDescent
from eval.figures.gradients import Gradients
from eval.figures.landscape import Landscape
from eval.figures.theorems import Theorems
from eval.robustness.masking import masking_signs
from tests.without_double import on_both
from training import Strength
from training.data import Batch, Spheres
from training.passes import CountPasses

EPSILON = Strength("1/10")
FIGURES: dict[str, Callable[[], Any]] = {
    "conflict growth": lambda: ConflictGrowth(budgets=(EPSILON, Strength("1/5")), steps=2),
    "descent": lambda: StepDescent(EPSILON, steps=2, batches=1, batch_size=8),
    "gradients": lambda: Gradients(per_class=2),
    "landscape": lambda: Landscape(EPSILON, steps=2, points=3, at=1.0),
    "theorems": lambda: Theorems(limit=12),
}
Put = Callable[[Any], Any]


def network(put: Put) -> nn.Module:
    torch.manual_seed(0)
    return put(nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2)).eval())


def measured(put: Put, wanted: Any) -> float:
    data = Spheres(dimensions=8, train_size=20, batch_size=12)
    batches = [Batch(put(x), put(y), indices) for x, y, indices in [*data.batches("test")][:1]]
    return float(wanted(CountPasses(network(put)), data, batches).value)


@pytest.mark.parametrize("name", FIGURES)
def test_figure_there_is_that_of_a_cpu(name: str, as_in_production: None) -> None:
    plain, found = on_both(partial(measured, wanted=FIGURES[name]()))
    assert found == pytest.approx(plain, rel=1e-4)


def test_signs_there_are_those_of_a_cpu(as_in_production: None) -> None:
    def signs(put: Put) -> list[float]:
        torch.manual_seed(1)
        batches = [(put(torch.rand(8, 8)), put(torch.arange(8) % 2))]
        black_box = partial(square_attack, queries=4)
        found = masking_signs(network(put), batches, epsilon=0.1, bounds=(0.0, 1.0), steps=2, black_box=black_box)
        return [sign.figure for sign in found]

    plain, found = on_both(signs)
    assert found == pytest.approx(plain, rel=1e-4, abs=1e-6, nan_ok=True)

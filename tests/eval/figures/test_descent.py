"""Promised and achieved descent: a quadratic-like loss in closed form, and table and picture of saved steps."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from eval import measure
from eval.figures.descent import StepDescent, _ratio, draw, measurements, table
from eval.figures.parameter_gradients import Moved, ParameterGradients
from eval.records import Results
from eval.records.subject import chosen_samples
from tests.eval.classifiers import Half, InMemory
from training.passes import CountPasses
from training.strength import Strength


def given(count: int = 12) -> InMemory:
    x = 2 * torch.rand(count, 5) - 1
    return InMemory(x, (x[:, 0] > 0).long())


def test_a_step_without_attack_is_a_clipped_step_of_gradient_descent() -> None:
    """With ε = 0 both gradients agree, so that g is ∇L of length at most C."""
    slope, data = torch.randn(5), given()
    (wanted,) = measurements(epsilon=0.0, rates=[0.5], batches=2, batch_size=6, clip_norm=0.01)
    outcome = wanted(CountPasses(Half(slope)), data, [*chosen_samples(data)[0]])
    assert outcome.value == 1
    assert outcome.samples == 2
    for number, line in outcome.per_sample[outcome.per_sample.loss == "clean"].iterrows():
        x, y = data.x[6 * line.batch :][:6], data.y[6 * line.batch :][:6]
        weights = slope.clone().requires_grad_()
        sign = 2.0 * y - 1
        loss = F.softplus(-sign * (x @ weights)).mean()
        (gradient,) = torch.autograd.grad(loss, weights)
        followed = gradient * min(1, 0.01 / gradient.norm())
        assert line.promised == pytest.approx(float(0.5 * gradient @ followed), rel=1e-4), number
        after = F.softplus(-sign * (x @ (slope - 0.5 * followed))).mean()
        assert line.achieved == pytest.approx(float(loss.detach() - after), rel=1e-2)
        # The largest eigenvalue of the Hessian is no smaller than how fast the gradient turns along one direction.
        curved = (torch.sigmoid(x @ weights) * torch.sigmoid(-x @ weights)).detach()
        hessian = (x.T * curved) @ x / len(x)
        assert 0 < line.smoothness <= 1.01 * float(torch.linalg.eigvalsh(hessian)[-1])
        assert line.promised - line.at_least == pytest.approx(
            line.smoothness * float((0.5 * followed).norm()) ** 2 / 2
        )


def test_a_step_that_is_too_long_lowers_nothing() -> None:
    data = given()
    (wanted,) = measurements(epsilon=0.1, rates=[1e-3, 1e6], batches=1, batch_size=12, clip_norm=None)
    outcome = wanted(
        CountPasses(nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2))), data, [*chosen_samples(data)[0]]
    )
    by_rate = outcome.per_sample.groupby("rate")
    assert (by_rate.get_group(1e-3).achieved > 0).all()
    assert (by_rate.get_group(1e-3).largest_rate > 1e-3).all()
    assert (by_rate.get_group(1e6).achieved < 0).any()
    assert outcome.value == 0.5


def test_moved_weights_have_their_own_gradients_and_the_module_keeps_its_own() -> None:
    module, x, y = nn.Linear(3, 2), torch.rand(4, 3), torch.tensor([0, 1, 1, 0])
    before = module.weight.detach().clone()
    moved = Moved(module, {"weight": torch.ones(2, 3), "bias": torch.zeros(2)})
    other = nn.Linear(3, 2)
    other.load_state_dict({"weight": before + 1, "bias": module.bias.detach()})
    torch.testing.assert_close(ParameterGradients(moved, y).mean(x), ParameterGradients(other, y).mean(x))
    assert torch.equal(module.weight, before)
    assert module.weight.grad is None


def test_table_and_picture_are_of_the_saved_steps(tmp_path: Path) -> None:
    options = {"descent": {"epsilon": "1/10", "batches": 3, "batch_size": 4, "rates": [0.01, 1000.0]}}
    measure(nn.Linear(5, 2), given(), only="figures", figures=["descent"], figure_options=options, out=tmp_path)
    records = Results(tmp_path).load()
    (record,) = records
    steps = records.per_sample(record)
    assert len(steps) == 3 * 2 * 2
    frame = table(records, [record]).frame
    assert [*frame["η"]] == ["0.01", "1000"]
    clean = steps[(steps.loss == "clean") & (steps.rate == 0.01)]
    assert frame.iloc[0]["clean, achieved / promised"] == f"{(clean.achieved / clean.promised).median():.3f}"
    (figure,) = draw(records, [record]).values()
    points = np.asarray(figure.axes[1].collections[0].get_offsets())
    adversarial = steps[steps.loss == "adversarial"]
    np.testing.assert_allclose(points, adversarial[["promised", "achieved"]])
    assert figure.axes[0].get_title() == "clean loss"


def test_a_promise_of_nothing_has_no_ratio() -> None:
    """Where g is orthogonal to ∇L what is promised is rounding, by which nothing can be divided."""
    steps = pd.DataFrame({"promised": [1e-12, -1e-10, 0.2], "achieved": [-0.1, -0.1, 0.1]})
    assert _ratio(steps) == "0.500"
    assert _ratio(steps[:2]) == "–"


@pytest.mark.parametrize("rates", [(), (0.0,), (math.inf,)])
def test_rates_must_be_positive(rates: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="`rates` should be above 0"):
        measurements(epsilon=0.1, rates=rates)
    assert measurements(epsilon="8/255")[0] == StepDescent(Strength("8/255"))

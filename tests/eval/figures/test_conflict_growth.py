"""μ against the attack budget: closed values on a logistic regression, the theorem's bound, and pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.functional import jacobian

from eval import measure
from eval.figures.conflict_growth import ConflictGrowth, draw, growth, measurements, table
from eval.figures.inner_maximum import UNBOUNDED, InnerMaximum, is_linear
from eval.figures.parameter_gradients import ParameterGradients
from eval.records import Quantity, Results
from eval.records.subject import chosen_samples
from tests.eval.classifiers import Half, InMemory
from tests.eval.made import model, record
from training.passes import CountPasses


def problem(count: int = 7, features: int = 5) -> tuple[Half, Tensor, Tensor]:
    return Half(torch.randn(features)), torch.rand(count, features), torch.randint(2, (count,))


def gradient(slope: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Of the mean of log(1 + exp(−y wᵀx)) in w, with y = ±1: paper 3, Eq. 13."""
    sign = 2.0 * y - 1
    return -(sign * torch.sigmoid(-sign * (x @ slope))) @ x / len(x)


def measured(classifier: nn.Module, x: Tensor, y: Tensor, **options: object) -> dict:
    data = InMemory(x, y)
    data.bounds = (0.0, 1.0)
    (wanted,) = measurements(**options)  # type: ignore[arg-type]
    return vars(wanted(CountPasses(classifier), data, [*chosen_samples(data)[0]]))


@pytest.mark.parametrize("clipped", [True, False])
def test_mu_of_a_logistic_regression_is_that_of_the_analytic_inner_maximum(clipped: bool) -> None:
    classifier, x, y = problem()
    slope = classifier.slope.detach()
    found = measured(classifier, x, y, budgets=[0.1, 0.4], clipped=clipped)
    assert found["details"]["inner_maximum"] == "closed form"
    for place, budget in enumerate((0.1, 0.4)):
        worst = x - budget * torch.outer(2.0 * y - 1, slope.sign())  # Eq. 15
        worst = worst.clamp(0, 1) if clipped else worst
        clean, adversarial = gradient(slope, x, y), gradient(slope, worst, y)
        cosine = F.cosine_similarity(clean, adversarial, dim=0)
        expected = clean.norm() * adversarial.norm() * (1 - cosine)
        assert found["arrays"]["mu"][place] == pytest.approx(float(expected), rel=1e-3)
        assert found["arrays"]["cosine"][place] == pytest.approx(float(cosine), rel=1e-5)
        assert found["arrays"]["exact"][place] >= found["arrays"]["mu"][place]
    if not clipped:  # Eq. 16
        loss = F.softplus(-(2.0 * y - 1) * (x @ slope) + 0.4 * slope.abs().sum()).mean()
        assert float(F.cross_entropy(classifier(worst), y).detach()) == pytest.approx(float(loss), rel=1e-5)


def test_the_curvature_is_the_largest_eigenvalue_of_the_proof() -> None:
    classifier, x, y = problem(4, 3)
    slope = classifier.slope.detach()
    matrix = jacobian(lambda inputs: gradient(slope, inputs, y), x).flatten(1)  # H of Eq. 6
    largest = torch.linalg.eigvalsh(matrix.double() @ matrix.double().T)[-1]
    found = ParameterGradients(classifier, y).largest_curvature(x, torch.Generator().manual_seed(0), tolerance=1e-7)
    assert float(found) == pytest.approx(float(largest), rel=1e-4)


def test_small_budgets_keep_the_theorem_and_grow_with_their_square() -> None:
    classifier, x, y = problem()
    found = measured(classifier, x, y, budgets=[0.001, 0.002, 0.004], clipped=False)
    assert found["value"] == pytest.approx(2, abs=0.05)
    assert (found["arrays"]["mu"] <= found["arrays"]["theorem"]).all()
    by_hand = 0.5 * found["details"]["largest_curvature"] * x.numel() * 0.002**2
    assert found["arrays"]["theorem"][1] == pytest.approx(by_hand)


def test_a_ball_in_l2_has_a_bound_without_the_dimension() -> None:
    classifier, x, y = problem()
    found = measured(classifier, x, y, budgets=[0.001, 0.002], norm="L2", clipped=False)
    assert found["details"]["inner_maximum"] == "closed form"
    assert found["arrays"]["theorem"][0] == pytest.approx(
        0.5 * found["details"]["largest_curvature"] * len(x) * 0.001**2
    )


def test_only_linear_classifiers_of_two_classes_count_as_such() -> None:
    x = torch.rand(5, 4)
    assert is_linear(Half(torch.randn(4)), x)
    assert is_linear(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), x)
    assert not is_linear(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), x)
    assert not is_linear(nn.Linear(4, 3), x)


@pytest.mark.parametrize(("norm", "bounds"), [("Linf", (0.0, 1.0)), ("L2", UNBOUNDED), ("L2", (0.0, 1.0))])
def test_pgd_finds_no_more_than_the_closed_form(norm: str, bounds: tuple[float, float]) -> None:
    classifier, x, y = problem()
    found, how = InnerMaximum(norm, 40, bounds)(classifier, x, y, 0.2)  # type: ignore[arg-type]
    assert how == ("PGD" if (norm, bounds) == ("L2", (0.0, 1.0)) else "closed form")
    bent = nn.Sequential(classifier, nn.Identity(), nn.Hardtanh(-1e3, 1e3))  # linear, and not seen to be
    bent[1].register_forward_hook(lambda module, inputs, output: output + 1e-3 * output.tanh())
    sought, by = InnerMaximum(norm, 200, bounds)(bent, x, y, 0.2)  # type: ignore[arg-type]
    assert by == "PGD"
    losses = [float(F.cross_entropy(classifier(inputs), y).detach()) for inputs in (found, sought)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_gradients_are_the_same_in_parts_and_leave_no_trace() -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)).train()
    x, y = torch.rand(6, 4), torch.randint(2, (6,))
    before = network[1].running_mean.clone()
    gradients = ParameterGradients(network, y)
    whole, each = gradients.mean(x), gradients.of_each(x)
    torch.testing.assert_close(torch.cat([part.flatten() for part in whole]), each.mean(dim=0))
    assert network.training
    assert all(weight.grad is None for weight in network.parameters())
    assert torch.equal(network[1].running_mean, before)


@pytest.mark.parametrize("budgets", [(0.1,), (0.1, 0.1), (0.0, 0.1)])
def test_budgets_that_make_no_slope_are_refused(budgets: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="`budgets` should be two or more"):
        measurements(budgets=budgets)


def test_growth_passes_over_budgets_without_conflict() -> None:
    assert growth(np.array([1.0, 2.0, 4.0]), np.array([0.0, 8.0, 64.0]))[0] == pytest.approx(3)
    assert np.isnan(growth(np.array([1.0, 2.0]), np.array([0.0, 8.0]))[0])


def test_table_and_pictures_are_of_the_saved_numbers(tmp_path: Path) -> None:
    frame = pd.DataFrame({"budget": [0.1, 0.2], "mu": [1.0, 5.0], "exact": [2.0, 6.0], "theorem": [3.0, 4.0]})
    for name in ("clean_norm", "adversarial_norm", "cosine", "accuracy", "adversarial_accuracy"):
        frame[name] = [0.25, 0.5]
    told = {"explained": 1.0, "inner_maximum": "closed form", "largest_curvature": 1.0}
    quantity, results = Quantity("conflict_growth", settings={"norm": "Linf"}), Results(tmp_path)
    for epsilon in ("0.1", "1/5"):
        one = record(quantity, 2.0, model("d", "AT", epsilon=epsilon), details=told)
        home = results.home(one.model, one.subject.model_key)
        home.write(one, frame, {name: frame[name].to_numpy() for name in frame})
    records = results.load()
    chosen = [*records]
    found = table(records, chosen)
    assert found.notes[1] == "μ lies above the theorem's bound at 2 of 4 budgets."
    assert "the slope is 2.32" in found.notes[2]
    assert [*found.frame["μ"]] == ["1 … 5"] * 2
    drawn = draw(records, chosen)
    assert [*drawn] == ["d", "trained-d"]
    curves = drawn["d"].axes[0].lines
    np.testing.assert_array_equal(curves[0].get_ydata(), frame.mu)
    own = drawn["trained-d"].axes[1].lines[0]
    np.testing.assert_array_equal(own.get_ydata(), [1.0, 5.0])  # each at the budget it was trained with
    assert "slope 2.32" in own.get_label()


def test_a_model_alone_has_no_picture_of_several_trainings(tmp_path: Path) -> None:
    one = replace(
        record(Quantity("conflict_growth"), of=model(epsilon="0.1")),
        details={"explained": 1.0, "inner_maximum": "PGD"},
    )
    frame = pd.DataFrame({key: [0.1, 0.2] for key in ("budget", "mu", "exact", "theorem")})
    results = Results(tmp_path)
    results.home(one.model, "k").write(one, frame, {name: frame[name].to_numpy() for name in frame})
    records = results.load()
    assert [*draw(records, [*records])] == ["d"]
    assert len(table(records, [*records]).notes) == 2
    assert ConflictGrowth() == measurements()[0]


class Attending(nn.Module):
    """Attention over the features of an input, in its fused form wherever nothing else is asked for."""

    def __init__(self, gate: nn.Module) -> None:
        super().__init__()
        self.embed, self.head, self.gate = nn.Linear(1, 4), nn.Linear(4, 2), gate

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x.unsqueeze(-1))
        return self.head(self.gate(F.scaled_dot_product_attention(tokens, tokens, tokens)).mean(dim=1))


@pytest.mark.parametrize(("gate", "is_known"), [(nn.Tanh(), True), (nn.Hardsigmoid(), False)])
def test_the_bound_alone_needs_second_derivatives(tmp_path: Path, gate: nn.Module, is_known: bool) -> None:
    """Fused attention has another form, which has them; others have none, and μ is measured without a bound."""
    data = InMemory(torch.rand(6, 3), torch.arange(6) % 2)
    options = {"conflict_growth": {"budgets": [0.1, 0.2], "steps": 2}}
    asked = {"figures": ["conflict_growth"], "figure_options": options, "only": "figures", "say": lambda _: None}
    report = measure(Attending(gate), data, out=tmp_path, **asked)
    assert not report.failures
    records = Results(tmp_path).load()
    (one,) = records
    arrays = records.arrays(one)
    assert np.isfinite(arrays["mu"]).all()
    assert np.isfinite(arrays["theorem"]).all() == is_known
    found = table(records, [one])
    assert (found.frame["½ λ_max ‖ε‖²"][0] == "–") == (not is_known)
    assert f"of {2 * is_known} budgets" in found.notes[1]
    assert len(found.notes) == (2 if is_known else 3)
    draw(records, [one])

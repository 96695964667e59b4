"""SPSA: its estimate is the gradient, it needs logits only, and it reaches the closed form on linear models."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eval.attacks.spsa import estimated_gradient, spsa
from tests.eval.classifiers import Half, half_problem, known_radii
from tests.properties import assert_within, unchanged
from training import pgd

UNBOUNDED = (-math.inf, math.inf)


class Blackbox(nn.Module):
    """Shows logits only, and remembers how many inputs it was shown at once, and how far they went."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier
        self.shown: list[int] = []
        self.extent = 0.0

    def forward(self, x: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        self.shown.append(len(x))
        self.extent = max(self.extent, float(x.abs().max()))
        return self.classifier(x).detach()


def estimate(classifier: nn.Module, x: Tensor, y: Tensor, samples: int, **options: object) -> Tensor:
    arguments = {"delta": 0.01, "batch_size": 64, "bounds": UNBOUNDED} | options
    return estimated_gradient(classifier, x, y, samples, generator=torch.Generator().manual_seed(0), **arguments)


def gradient_of_margin(classifier: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Of a classifier of three classes or more."""
    variable = x.clone().requires_grad_()
    logits = classifier(variable)
    others = logits.masked_fill(F.one_hot(y, logits.shape[1]).bool(), -math.inf)
    (others.amax(dim=1) - logits.gather(1, y.unsqueeze(1)).squeeze(1)).sum().backward()
    return variable.grad


@pytest.mark.parametrize("shape", [(6,), (2, 3), (1, 2, 3)])
def test_estimate_is_the_gradient_on_average(linear, shape):
    classifier = linear(6, 4, torch.float64)
    x, y = torch.randn(5, *shape, dtype=torch.float64), torch.randint(4, (5,))
    expected = gradient_of_margin(classifier, x, y).flatten(1)
    found = estimate(classifier, x, y, 4000, delta=1e-3, batch_size=2000).flatten(1)
    assert ((found - expected).abs() < 5 * expected.norm(dim=1, keepdim=True) / math.sqrt(4000)).all()


@pytest.mark.parametrize("samples", [1, 3])
def test_estimate_of_one_feature_is_exact(linear, samples):
    classifier, x, y = linear(1, 3, torch.float64), torch.randn(5, 1, dtype=torch.float64), torch.randint(3, (5,))
    found = estimate(classifier, x, y, samples, delta=1e-6)
    torch.testing.assert_close(found, gradient_of_margin(classifier, x, y), rtol=1e-6, atol=0)


def test_error_of_the_estimate_falls_with_the_root_of_the_samples(linear):
    classifier = linear(50, 2, torch.float64)
    x, y = torch.randn(20, 50, dtype=torch.float64), torch.randint(2, (20,))
    slope = classifier[1].weight.detach()[1 - y] - classifier[1].weight.detach()[y]
    errors = [float((estimate(classifier, x, y, samples) - slope).norm() / slope.norm()) for samples in (10, 1000)]
    # E‖ĝ − g‖² = (n − 1)/samples · ‖g‖² for Rademacher signs
    assert errors[0] == pytest.approx(math.sqrt(49 / 10), rel=0.2)
    assert errors[1] == pytest.approx(math.sqrt(49 / 1000), rel=0.2)


@pytest.mark.parametrize("batch_size", [1, 10, 64, 10_000])
def test_estimate_takes_all_its_samples_in_bounded_portions(linear, batch_size):
    box = Blackbox(linear(6, 2))
    estimate(box, torch.randn(5, 6), torch.randint(2, (5,)), 33, batch_size=batch_size)
    assert sum(box.shown) == 2 * 33 * 5
    assert max(box.shown) <= max(batch_size, 10)


def test_points_shown_lie_within_the_bounds(linear):
    box, x = Blackbox(linear(6, 2)), torch.ones(5, 6)
    spsa(box, x, box.classifier(x).argmax(dim=1), 0.1, steps=3, samples=4, delta=0.3, bounds=(-1.0, 1.0))
    assert len(box.shown) > 1
    assert box.extent == 1


@pytest.mark.parametrize(("factor", "succeeds"), [(1.05, True), (0.99, False)])
def test_success_begins_at_the_closed_form_radius(factor, succeeds):
    classifier, x, y = half_problem(20, 20)
    radius = known_radii(classifier, x, y, "Linf")
    right = radius > 0
    x, y, strength = x[right], y[right], (factor * radius[right]).float()
    result = spsa(Blackbox(classifier), x, y, strength, bounds=UNBOUNDED)
    assert ((classifier(result).argmax(dim=1) != y) == succeeds).all()
    assert_within(result, x, strength, math.inf, UNBOUNDED)


def curved(features: int, classes: int = 3) -> nn.Module:
    layers = nn.Flatten(), nn.Linear(features, 16), nn.Tanh(), nn.Linear(16, classes)
    return nn.Sequential(*layers)


def test_curved_classifier_is_fooled_nearly_as_often_as_by_its_gradient():
    classifier, x = curved(12), torch.rand(64, 12) * 2 - 1
    y = classifier(x).argmax(dim=1)
    white = classifier(pgd(classifier, x, y, 0.5, loss="margin", bounds=(-1.0, 1.0))).argmax(dim=1) != y
    black = classifier(spsa(classifier, x, y, 0.5, steps=50, samples=32, bounds=(-1.0, 1.0))).argmax(dim=1) != y
    assert 10 < white.sum() < 60
    assert black.sum() >= white.sum() - 2


@pytest.mark.parametrize("shape", [(6,), (2, 3), (1, 2, 3)])
@pytest.mark.parametrize("size", [0, 1, 3, 8])
@pytest.mark.parametrize("bounds", [(0.0, 1.0), UNBOUNDED])
def test_result_lies_within_ball_and_bounds(shape, size, bounds):
    x, y, strength = torch.rand(size, *shape), torch.randint(3, (size,)), torch.linspace(0.01, 0.5, size)
    result = spsa(curved(6), x, y, strength, steps=5, samples=4, bounds=bounds)
    assert result.shape == x.shape
    if size:
        assert_within(result, x, strength, math.inf, bounds)


def test_fooled_samples_leave(linear):
    classifier, x = linear(6, 2), torch.rand(8, 6)
    y = classifier(x).argmax(dim=1)
    y[:3] = 1 - y[:3]
    box = Blackbox(classifier)
    result = spsa(box, x, y, 1e-6, steps=4, samples=2, batch_size=1000, bounds=(-1.0, 1.0))
    assert torch.equal(result[:3], x[:3])
    assert box.shown == [8, 20, 5, 20, 5, 20, 5, 20]


def test_those_that_stay_keep_their_own_averages_when_others_leave():
    classifier = Half(torch.ones(4))
    x, y = (
        torch.tensor([[0.01] * 4, [-1.0] * 4]),
        torch.tensor([1, 0]),
    )  # the first goes down and leaves, the other up
    result = spsa(classifier, x, y, 0.5, steps=5, samples=256, step_size=0.01, bounds=UNBOUNDED)
    assert classifier(result).argmax(dim=1).tolist() == [0, 0]
    torch.testing.assert_close(result[1], torch.full((4,), -0.95), rtol=0, atol=0.002)


def test_step_size_is_how_far_the_first_step_goes(linear):
    x, y, stride = torch.rand(5, 6), torch.randint(2, (5,)), torch.linspace(0.01, 0.05, 5)
    options = {"steps": 1, "samples": 64, "bounds": UNBOUNDED}
    classifier = linear(6, 2)
    y = classifier(x).argmax(dim=1)
    moved = (spsa(classifier, x, y, 1.0, step_size=stride, **options) - x).abs()
    torch.testing.assert_close(moved, stride.unsqueeze(1).expand(5, 6), rtol=1e-4, atol=0)
    default = (spsa(classifier, x, y, 0.001, **(options | {"steps": 20})) - x).abs()
    torch.testing.assert_close(default, torch.full((5, 6), 0.001), rtol=1e-3, atol=0)


def naive_adam(gradients: list[Tensor], stride: float) -> Tensor:
    """Algorithm 1 of Kingma and Ba 2015."""
    mean = square = total = torch.zeros_like(gradients[0])
    for step, gradient in enumerate(gradients, start=1):
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        total = total + stride * (mean / (1 - 0.9**step)) / (square / (1 - 0.999**step)).sqrt()
    return total


def test_steps_are_those_of_adam(linear):
    classifier, x = linear(6, 2, torch.float64), torch.rand(5, 6, dtype=torch.float64)
    y, generator = classifier(x).argmax(dim=1), torch.Generator().manual_seed(0)
    gradients = [estimated_gradient(classifier, x, y, 3, 0.01, 1000, UNBOUNDED, generator) for _ in range(5)]
    options = {"steps": 5, "samples": 3, "step_size": 1e-6, "bounds": UNBOUNDED}
    result = spsa(classifier, x, y, 1.0, generator=torch.Generator().manual_seed(0), **options)
    torch.testing.assert_close(result - x, naive_adam(gradients, 1e-6), rtol=1e-3, atol=1e-12)


def test_classifier_and_global_random_state_are_left_as_found():
    classifier = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3)).train()
    x, y = torch.rand(5, 6), torch.randint(3, (5,))
    with unchanged(classifier):
        spsa(classifier, x, y, 0.1, steps=2, samples=4, bounds=(-1.0, 1.0))


def test_seeded_generator_makes_the_result_reproducible(linear):
    classifier, x = linear(6, 2), torch.rand(5, 6)
    y = classifier(x).argmax(dim=1)
    options = {"steps": 2, "samples": 1, "step_size": 0.001}
    once, again, other = (
        spsa(classifier, x, y, 0.1, bounds=(-1.0, 1.0), generator=torch.Generator().manual_seed(seed), **options)
        for seed in (1, 1, 2)
    )
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"strength": -0.1}, "`strength` should be at least 0. Found -0.1"),
        ({"strength": torch.ones(2)}, r"`strength` should be one number or one per sample \(3\)"),
        ({"step_size": -0.1}, "`step_size` should be at least 0. Found -0.1"),
        ({"norm": "L2"}, "`norm` should be one of Linf. Found 'L2'"),
        ({"steps": 0}, "`steps` should be at least 1. Found 0"),
        ({"samples": 0}, "`samples` should be at least 1. Found 0"),
        ({"batch_size": 0}, "`batch_size` should be at least 1. Found 0"),
        ({"delta": 0.0}, "`delta` should be above 0. Found 0.0"),
        ({"delta": math.nan}, "`delta` should be above 0. Found nan"),
        ({"x": torch.full((3, 6), 1.5)}, r"`x` should lie within `bounds` \(-1.0, 1.0\). Found values from 1.5"),
        ({"y": torch.tensor([0, 1, 3])}, r"`y` should lie in \[0, 3\). Found values from 0 to 3"),
    ],
)
def test_wrong_argument_is_named(changed, message):
    arguments = {
        "x": torch.zeros(3, 6),
        "y": torch.tensor([0, 1, 2]),
        "strength": 0.1,
        "bounds": (-1.0, 1.0),
    } | changed
    with pytest.raises(ValueError, match=message):
        spsa(curved(6), **arguments)


def test_logits_that_are_not_finite_are_refused():
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.full((len(x), 3), math.nan)

    with pytest.raises(ValueError, match=r"`classifier\(x\)` should be finite"):
        spsa(Broken(), torch.zeros(3, 6), torch.tensor([0, 1, 2]), 0.1, bounds=(-1.0, 1.0))


def test_logits_that_turn_nan_on_the_way_are_refused():
    class Cliff(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            score = x.sum(dim=1)
            return torch.stack([torch.where(score == 0, 1.0, torch.nan), 0 * score], dim=1)

    with pytest.raises(ValueError, match=r"`classifier\(x\)` should be finite"):
        spsa(
            Cliff(), torch.zeros(3, 5), torch.zeros(3, dtype=torch.int64), 0.1, steps=2, samples=2, bounds=(-1.0, 1.0)
        )

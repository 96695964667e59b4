"""PGD: exact on linear models, inside the ball everywhere, and without a trace on anything else."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import linprog
from scipy.stats import kstest
from torch import Tensor, nn

from tests.properties import assert_left_as_found, assert_within
from training import pgd
from training.attacks import attack_loss, fgsm, mi_fgsm

UNBOUNDED = (-math.inf, math.inf)
ORDER = {"Linf": math.inf, "L2": 2, "L1": 1}
DUAL = {"Linf": 1, "L2": 2, "L1": math.inf}
every_norm = pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])


class Counted(nn.Module):
    """Counts forward passes of whole batches, those that keep a graph, and backward passes; and samples shown."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier
        self.forwards = self.graphs = self.backwards = self.samples = 0

    def forward(self, x: Tensor) -> Tensor:
        logits = self.classifier(x)
        if logits.requires_grad:
            self.graphs += 1
            logits.register_hook(self._count_backward)
        self.forwards, self.samples = self.forwards + 1, self.samples + len(x)
        return logits

    def _count_backward(self, gradient: Tensor) -> None:
        self.backwards += 1


class Scaled(nn.Module):
    """Logits of a classifier times a number."""

    def __init__(self, classifier: nn.Module, scale: float) -> None:
        super().__init__()
        self.classifier, self.scale = classifier, scale

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(x) * self.scale


def curved(features: int, classes: int = 3, dtype: torch.dtype = torch.float32) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(features, 8, dtype=dtype),
        nn.Tanh(),
        nn.Linear(8, classes, dtype=dtype),
    )


def lead_and_slope(classifier: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Of a linear classifier of two classes: how far the true logit leads, and the gradient of that."""
    logits, weight = classifier(x).detach(), classifier[1].weight.detach()
    lead = logits.gather(1, y.unsqueeze(1)) - logits.gather(1, 1 - y.unsqueeze(1))
    return lead.squeeze(1), weight[y] - weight[1 - y]


@pytest.mark.parametrize(
    ("norm", "options"),
    [
        ("Linf", {}),
        ("Linf", {"random_start": False}),
        ("L2", {"random_start": False}),
        ("L2", {"step_size": 10.0}),
        ("L1", {}),
        ("L1", {"random_start": False}),
    ],
)
@pytest.mark.parametrize("loss", ["margin", "cross_entropy"])
def test_closed_form_is_reached_on_a_linear_model(linear, norm, options, loss):
    classifier, epsilon = linear(20, 2, torch.float64), 0.25
    x, y = torch.randn(16, 20, dtype=torch.float64), torch.randint(2, (16,))
    result = pgd(classifier, x, y, epsilon, norm=norm, loss=loss, bounds=UNBOUNDED, **options)
    before, slope = lead_and_slope(classifier, x, y)
    after, _ = lead_and_slope(classifier, result, y)
    loss_of_lead = epsilon * torch.linalg.vector_norm(slope, ord=DUAL[norm], dim=1)
    torch.testing.assert_close((before - after) / loss_of_lead, torch.ones(16).double(), rtol=0, atol=2e-6)


@pytest.mark.parametrize("loss", ["margin", "cross_entropy"])
def test_random_start_in_l2_is_forgotten_by_default(linear, loss):
    classifier, epsilon = linear(500, 2, torch.float64), 0.25
    x, y = torch.randn(16, 500, dtype=torch.float64), torch.randint(2, (16,))
    result = pgd(classifier, x, y, epsilon, norm="L2", loss=loss, bounds=UNBOUNDED)
    before, slope = lead_and_slope(classifier, x, y)
    after, _ = lead_and_slope(classifier, result, y)
    optimum = epsilon * slope.norm(dim=1)
    torch.testing.assert_close((before - after) / optimum, torch.ones(16).double(), rtol=0, atol=2e-3)


def test_corner_of_the_box_is_reached_within_bounds(linear):
    classifier = linear(20, 2)
    x, y = torch.rand(16, 20) * 2 - 1, torch.randint(2, (16,))
    _, slope = lead_and_slope(classifier, x, y)
    expected = (x - 0.4 * slope.sign()).clamp(-1, 1)
    torch.testing.assert_close(pgd(classifier, x, y, 0.4, bounds=(-1.0, 1.0)), expected, rtol=0, atol=1e-6)


def nearest_in_l1(x: Tensor, slope: Tensor, lead: Tensor) -> Tensor:
    """The smallest ‖δ‖₁ with ⟨slope, δ⟩ = lead and x − δ in [−1, 1], by linear programming over δ = up − down."""
    radii = []
    for point, row, target in zip(x, slope, lead, strict=True):
        room = [(0, float(value)) for value in torch.cat([point + 1, 1 - point])]
        rows = torch.cat([row, -row]).unsqueeze(0).numpy()
        radii.append(linprog(torch.ones(len(room)).numpy(), A_eq=rows, b_eq=[float(target)], bounds=room).fun)
    return torch.tensor(radii, dtype=x.dtype)


@pytest.mark.parametrize(("factor", "succeeds"), [(1 + 1e-4, True), (1 - 1e-4, False)])
@pytest.mark.parametrize("random_start", [False, True])
@pytest.mark.parametrize("features", [4, 20])
def test_success_in_l1_begins_where_a_linear_program_says_so(linear, features, random_start, factor, succeeds):
    classifier = linear(features, 2, torch.float64)
    x = torch.rand(32, features, dtype=torch.float64) * 2 - 1
    y = classifier(x).argmax(dim=1)
    lead, slope = lead_and_slope(classifier, x, y)
    # Those that can be fooled within the bounds at all, and not by a single coordinate.
    can = (slope.abs().sum(dim=1) + (slope * x).sum(dim=1) > 1.01 * lead) & (lead > slope.abs().amax(dim=1))
    x, y, slope, lead = x[can], y[can], slope[can], lead[can]
    assert len(x) > 3
    radius = nearest_in_l1(x, slope, lead)
    result = pgd(classifier, x, y, factor * radius, norm="L1", random_start=random_start, bounds=(-1.0, 1.0))
    assert ((classifier(result).argmax(dim=1) != y) == succeeds).all()


@every_norm
@pytest.mark.parametrize(("factor", "succeeds"), [(1 + 1e-4, True), (1 - 1e-4, False)])
def test_success_begins_at_the_critical_radius(linear, norm, factor, succeeds):
    classifier = linear(20, 2, torch.float64)
    x = torch.randn(32, 20, dtype=torch.float64)
    y = classifier(x).argmax(dim=1)
    lead, slope = lead_and_slope(classifier, x, y)
    radius = lead / torch.linalg.vector_norm(slope, ord=DUAL[norm], dim=1)
    result = pgd(classifier, x, y, factor * radius, norm=norm, random_start=False, bounds=UNBOUNDED)
    assert ((classifier(result).argmax(dim=1) != y) == succeeds).all()


@every_norm
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_result_does_not_depend_on_the_scale_of_the_logits(linear, norm, scale):
    classifier = linear(20, 2)
    x, y = torch.rand(8, 20), torch.randint(2, (8,))
    expected, result = (
        pgd(model, x, y, 0.1, norm=norm, loss="margin", steps=5, random_start=False, bounds=(0.0, 1.0))
        for model in (classifier, Scaled(classifier, scale))
    )
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("norm", "dtype", "epsilon"),
    [("Linf", torch.float32, epsilon) for epsilon in (1e-12, 1e-6, 1e-3, 0.5, 1e3, 1e12)]
    + [("L2", torch.float32, epsilon) for epsilon in (0.1, 1.0, 1e3, 1e12)]
    + [("L2", torch.float64, epsilon) for epsilon in (1e-8, 1e-4, 1e-2)]
    + [("L1", torch.float32, epsilon) for epsilon in (1e-3, 0.1, 1.0, 1e3, 1e12)]
    + [("L1", torch.float64, epsilon) for epsilon in (1e-8, 1e-4, 1e-2)],
)
@pytest.mark.parametrize("bounds", [(-1.0, 1.0), UNBOUNDED])
def test_result_lies_within_ball_and_bounds(norm, dtype, epsilon, bounds):
    x, y = torch.rand(9, 2, 5, dtype=dtype) * 2 - 1, torch.randint(3, (9,))
    radius = epsilon * torch.linspace(0.2, 2, 9, dtype=dtype)
    result = pgd(curved(10, dtype=dtype), x, y, radius, norm=norm, steps=5, bounds=bounds)
    assert_within(result, x, radius, ORDER[norm], bounds)


@pytest.mark.parametrize("norm", ["L2", "L1"])
@pytest.mark.parametrize("epsilon", [1e-6, 1e-5, 1e-4, 1e-3])
@pytest.mark.parametrize("bounds", [(-1.0, 1.0), UNBOUNDED])
@pytest.mark.parametrize("leave_when_fooled", [False, True])
def test_result_lies_within_a_ball_that_is_tiny_beside_the_input(linear, norm, epsilon, bounds, leave_when_fooled):
    x, y = F.normalize(torch.randn(16, 500)), torch.randint(3, (16,))
    options = {"norm": norm, "steps": 5, "bounds": bounds, "leave_when_fooled": leave_when_fooled}
    result = pgd(linear(500, 3), x, y, epsilon, **options)
    assert_within(result, x, torch.full((16,), epsilon, dtype=torch.float64), ORDER[norm], bounds)


@pytest.mark.parametrize(("epsilon", "share"), [(1e-6, 0.8), (1e-5, 0.98), (1e-4, 0.995), (1e-3, 0.995)])
def test_tiny_l2_ball_is_still_used(linear, epsilon, share):
    classifier, x, y = linear(500, 2), F.normalize(torch.randn(16, 500)), torch.randint(2, (16,))
    result = pgd(classifier, x, y, epsilon, norm="L2", bounds=(-1.0, 1.0))
    _, slope = lead_and_slope(classifier, x, y)
    # Computed from the shift, because the logits themselves round away so small a change.
    gained = ((x.double() - result.double()) * slope.double()).sum(dim=1)
    assert (gained > share * epsilon * slope.double().norm(dim=1)).all()


@every_norm
@pytest.mark.parametrize("shape", [(6,), (2, 3), (1, 2, 3)])
@pytest.mark.parametrize("size", [0, 1, 3, 8])
def test_every_sample_is_attacked_for_itself(norm, shape, size):
    classifier, x, y = curved(6), torch.rand(size, *shape), torch.randint(3, (size,))
    radius = torch.linspace(0.01, 0.2, size)
    result = pgd(classifier, x, y, radius, norm=norm, steps=3, random_start=False, bounds=(-1.0, 1.0))
    alone = [
        pgd(
            classifier,
            x[i : i + 1],
            y[i : i + 1],
            float(radius[i]),
            norm=norm,
            steps=3,
            random_start=False,
            bounds=(-1.0, 1.0),
        )
        for i in range(size)
    ]
    torch.testing.assert_close(result, torch.cat([x[:0], *alone]), rtol=0, atol=1e-6)


@every_norm
def test_epsilon_zero_returns_the_input(norm):
    x = torch.rand(5, 6)
    result = pgd(curved(6), x, torch.randint(3, (5,)), 0.0, norm=norm, steps=3, bounds=(-1.0, 1.0))
    assert torch.equal(result, x)


@every_norm
def test_input_is_not_written_to(norm):
    x = torch.rand(5, 6)
    before = x.clone()
    pgd(curved(6), x, torch.randint(3, (5,)), 0.1, norm=norm, steps=3, random_start=False, bounds=(-1.0, 1.0))
    assert torch.equal(x, before)


@every_norm
@pytest.mark.parametrize("steps", [0, 2])
def test_result_carries_no_graph(norm, steps):
    x = torch.rand(5, 6).requires_grad_()
    result = pgd(curved(6), x, torch.randint(3, (5,)), 0.1, norm=norm, steps=steps, bounds=(-1.0, 1.0))
    assert not result.requires_grad


def random_starts(norm: str, count: int, features: int) -> Tensor:
    """Starting points in the unit ball."""
    x, y = torch.zeros(count, features, dtype=torch.float64), torch.zeros(count, dtype=torch.int64)
    generator = torch.Generator().manual_seed(0)
    return pgd(curved(features), x, y, 1.0, norm=norm, steps=0, bounds=UNBOUNDED, generator=generator)


@pytest.mark.parametrize("features", [1, 3, 500])
def test_random_start_in_l2_is_uniform_in_the_ball(features):
    inner_volume = random_starts("L2", 2000, features).norm(dim=1) ** features
    assert abs(float(inner_volume.mean()) - 0.5) < 4 / math.sqrt(12 * 2000)
    assert kstest(inner_volume, "uniform").pvalue > 1e-3


def test_random_start_in_l2_prefers_no_direction():
    points = random_starts("L2", 2000, 3)
    directions = points / points.norm(dim=1, keepdim=True)
    for coordinate in directions.T:  # uniform in [-1, 1] on a sphere in three dimensions, after Archimedes
        assert kstest(coordinate, "uniform", args=(-1, 2)).pvalue > 1e-3


@pytest.mark.parametrize("features", [1, 3, 500])
def test_random_start_in_l1_is_uniform_in_the_ball(features):
    points = random_starts("L1", 2000, features)
    size = points.abs().sum(dim=1, keepdim=True)
    assert kstest(size.squeeze(1) ** features, "uniform").pvalue > 1e-3
    for coordinate in (points / size).abs().T[: min(features - 1, 3)]:  # uniform in a simplex
        assert kstest(coordinate, "beta", args=(1, features - 1)).pvalue > 1e-3
    positive = (points > 0).double()
    assert (positive.mean(dim=0) - 0.5).abs().max() < 4.5 / math.sqrt(4 * 2000)
    assert features == 1 or positive.T[:3].corrcoef().fill_diagonal_(0).abs().max() < 4 / math.sqrt(2000)


def test_random_start_in_linf_is_uniform_in_the_box():
    points = random_starts("Linf", 1000, 4)
    assert kstest(points.flatten(), "uniform", args=(-1, 2)).pvalue > 1e-3
    assert points.T.corrcoef().fill_diagonal_(0).abs().max() < 4 / math.sqrt(1000)


@every_norm
def test_seeded_generator_makes_the_result_reproducible(norm):
    classifier, x, y = curved(6), torch.rand(5, 6), torch.randint(3, (5,))
    once, again, other = (
        pgd(
            classifier,
            x,
            y,
            0.1,
            norm=norm,
            steps=2,
            step_size=0.01,
            generator=torch.Generator().manual_seed(seed),
            bounds=(-1.0, 1.0),
        )
        for seed in (1, 1, 2)
    )
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


def test_without_a_generator_every_start_is_fresh():
    x, y = torch.rand(5, 6), torch.randint(3, (5,))
    assert not torch.equal(
        pgd(curved(6), x, y, 0.1, steps=0, bounds=(-1.0, 1.0)), pgd(curved(6), x, y, 0.1, steps=0, bounds=(-1.0, 1.0))
    )


@every_norm
@pytest.mark.parametrize("seeded", [True, False])
def test_global_random_state_is_untouched(norm, seeded):
    classifier, x, y = curved(6), torch.rand(5, 6), torch.randint(3, (5,))
    before = torch.get_rng_state()
    pgd(
        classifier, x, y, 0.1, norm=norm, steps=2, generator=torch.Generator() if seeded else None, bounds=(-1.0, 1.0)
    )
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("leave_when_fooled", [False, True])
def test_classifier_is_left_as_found(leave_when_fooled):
    normalisation = nn.BatchNorm1d(8)
    classifier = nn.Sequential(nn.Linear(6, 8), normalisation, nn.ReLU(), nn.Dropout(), nn.Linear(8, 3)).train()
    normalisation.eval()
    before = {key: value.clone() for key, value in classifier.state_dict().items()}
    modes = [part.training for part in classifier.modules()]
    x, y = torch.rand(5, 6), torch.randint(3, (5,))
    pgd(classifier, x, y, 0.1, steps=3, leave_when_fooled=leave_when_fooled, bounds=(-1.0, 1.0))
    assert_left_as_found(classifier, before, modes)


def test_classifier_is_attacked_in_evaluation_mode():
    classifier = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.9), nn.Linear(8, 3))
    x, y = torch.rand(5, 6), torch.randint(3, (5,))
    training, evaluating = (
        pgd(classifier.train(mode), x, y, 0.1, steps=3, random_start=False, bounds=(-1.0, 1.0))
        for mode in (True, False)
    )
    assert torch.equal(training, evaluating)


@every_norm
@pytest.mark.parametrize("ambient", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("leave_when_fooled", [False, True])
def test_gradients_of_others_do_not_hinder(norm, ambient, leave_when_fooled):
    classifier, x, y, radius = curved(6), torch.rand(5, 6), torch.randint(3, (5,)), torch.linspace(0.1, 0.2, 5)
    options = {
        "bounds": (-1.0, 1.0),
        "norm": norm,
        "steps": 3,
        "random_start": False,
        "leave_when_fooled": leave_when_fooled,
    }
    expected = pgd(classifier, x, y, radius, **options)
    with ambient():  # the inputs are made inside, too
        result = pgd(classifier, x.clone(), y.clone(), radius.clone(), **options)
    assert torch.equal(result, expected)


@every_norm
def test_leaving_when_fooled_fools_the_same_samples_in_fewer_passes(linear, norm):
    classifier = linear(20, 2, torch.float64)
    x = torch.randn(64, 20, dtype=torch.float64)
    y = classifier(x).argmax(dim=1)
    full, leaving = Counted(classifier), Counted(classifier)
    options = {"norm": norm, "steps": 20, "random_start": False, "bounds": UNBOUNDED}
    epsilon = {"Linf": 0.2, "L2": 0.6, "L1": 1.5}[norm]
    complete = pgd(full, x, y, epsilon, **options)
    early = pgd(leaving, x, y, epsilon, leave_when_fooled=True, **options)
    fooled = classifier(complete).argmax(dim=1) != y
    assert 0 < fooled.sum() < len(x)
    assert torch.equal(classifier(early).argmax(dim=1) != y, fooled)
    assert torch.equal(early[~fooled], complete[~fooled])
    assert leaving.samples < full.samples


@every_norm
def test_sample_that_is_already_wrong_leaves_at_its_start(linear, norm):
    classifier, x = linear(6, 2), torch.rand(5, 6)
    wrong = 1 - classifier(x).argmax(dim=1)
    counted = Counted(classifier)
    result = pgd(counted, x, wrong, 0.1, norm=norm, random_start=False, leave_when_fooled=True, bounds=(-1.0, 1.0))
    assert torch.equal(result, x)
    assert counted.forwards == 1


@every_norm
@pytest.mark.parametrize("steps", [1, 7])
def test_every_step_is_one_forward_and_one_backward_pass(norm, steps):
    counted = Counted(curved(6))
    pgd(counted, torch.rand(5, 6), torch.randint(3, (5,)), 0.1, norm=norm, steps=steps, bounds=(-1.0, 1.0))
    assert (counted.forwards, counted.backwards) == (steps, steps)


@every_norm
def test_step_size_limits_how_far_a_step_goes(linear, norm):
    x, y = torch.rand(5, 6), torch.randint(2, (5,))
    result = pgd(linear(6, 2), x, y, 1.0, norm=norm, steps=3, step_size=0.01, random_start=False, bounds=UNBOUNDED)
    moved = torch.linalg.vector_norm(result - x, ord=ORDER[norm], dim=1)
    torch.testing.assert_close(moved, torch.full((5,), 0.03), rtol=1e-4, atol=0)


@every_norm
def test_step_size_may_differ_from_sample_to_sample(linear, norm):
    x, y, stride = torch.rand(5, 6), torch.randint(2, (5,)), torch.linspace(0.01, 0.03, 5)
    options = {"norm": norm, "steps": 3, "random_start": False, "bounds": UNBOUNDED}
    result = pgd(linear(6, 2), x, y, 1.0, step_size=stride, **options)
    moved = torch.linalg.vector_norm(result - x, ord=ORDER[norm], dim=1)
    torch.testing.assert_close(moved, 3 * stride, rtol=1e-4, atol=0)


def gradient_at(classifier: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    variable = x.clone().requires_grad_()
    F.cross_entropy(classifier(variable), y, reduction="sum").backward()
    return variable.grad


def naive_momentum(classifier: nn.Module, x: Tensor, y: Tensor, epsilon: float, decay: float, steps: int) -> Tensor:
    """Algorithm 1 of Dong et al. 2018 for one sample."""
    point, velocity = x.clone(), torch.zeros_like(x)
    for _ in range(steps):
        gradient = gradient_at(classifier, point, y)
        velocity = decay * velocity + gradient / gradient.abs().sum()
        point = (point + epsilon / steps * velocity.sign()).clamp(x - epsilon, x + epsilon).clamp(-1, 1)
    return point


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0, 2.0])
def test_momentum_agrees_with_its_algorithm(decay):
    classifier = wavy(12)
    x, y, epsilon = torch.rand(8, 12, dtype=torch.float64) * 2 - 1, torch.randint(3, (8,)), 0.3
    expected = [naive_momentum(classifier, x[i : i + 1], y[i : i + 1], epsilon, decay, 10) for i in range(8)]
    result = mi_fgsm(classifier, x, y, epsilon, momentum=decay, bounds=(-1.0, 1.0))
    torch.testing.assert_close(result, torch.cat(expected), rtol=0, atol=1e-12)


def wavy(features: int) -> nn.Module:
    """A classifier whose gradient turns, and changes its size, along the way of an attack."""

    class Sine(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (5 * x).sin()

    layers = nn.Linear(features, 16, dtype=torch.float64), Sine(), nn.Linear(16, 3, dtype=torch.float64)
    return nn.Sequential(*layers)


def test_momentum_makes_a_difference():
    classifier, x = wavy(12), torch.rand(8, 12, dtype=torch.float64) * 2 - 1
    y = torch.randint(3, (8,))
    with_it, without = (mi_fgsm(classifier, x, y, 0.3, momentum=decay, bounds=(-1.0, 1.0)) for decay in (1.0, 0.0))
    assert not torch.equal(with_it, without)


@pytest.mark.parametrize("options", [{}, {"momentum": 1.0}, {"loss": "kl", "random_start": True}])
def test_those_that_stay_are_not_disturbed_by_those_that_leave(options):
    classifier, x = wavy(12), torch.rand(64, 12, dtype=torch.float64) * 2 - 1
    y = classifier(x).argmax(dim=1)
    radius = torch.linspace(0.2, 0.02, 64, dtype=torch.float64)
    options = {"loss": "cross_entropy", "steps": 10, "random_start": False, "bounds": (-1.0, 1.0)} | options
    complete, early = (
        pgd(classifier, x, y, radius, leave_when_fooled=leave, generator=torch.Generator().manual_seed(0), **options)
        for leave in (False, True)
    )
    stayed = classifier(early).argmax(dim=1) == y
    assert 0 < stayed.sum() < 60
    assert torch.equal(early[stayed], complete[stayed])


def test_fgsm_is_one_step_to_the_corner_of_each_box():
    classifier, x, y = curved(6), torch.rand(5, 6), torch.randint(3, (5,))
    epsilon = torch.linspace(0.1, 0.5, 5)
    expected = (x + epsilon.unsqueeze(1) * gradient_at(classifier, x, y).sign()).clamp(0, 1)
    counted = Counted(classifier)
    torch.testing.assert_close(fgsm(counted, x, y, epsilon, bounds=(0.0, 1.0)), expected, rtol=0, atol=1e-6)
    assert (counted.forwards, counted.backwards) == (1, 1)


def test_fgsm_in_l2_goes_along_the_gradient():
    classifier, x, y = curved(6), torch.rand(5, 6), torch.randint(3, (5,))
    expected = x + 0.1 * F.normalize(gradient_at(classifier, x, y))
    torch.testing.assert_close(fgsm(classifier, x, y, 0.1, norm="L2", bounds=UNBOUNDED), expected)


def test_mi_fgsm_takes_ten_steps_that_together_cross_the_ball(linear):
    x, y, epsilon = torch.rand(5, 6), torch.randint(2, (5,)), torch.linspace(0.1, 0.5, 5)
    counted = Counted(linear(6, 2))
    result = mi_fgsm(counted, x, y, epsilon, bounds=UNBOUNDED)
    torch.testing.assert_close((result - x).abs(), epsilon.unsqueeze(1).expand(5, 6))
    assert counted.forwards == 10
    short = mi_fgsm(linear(6, 2), x, y, 0.3, steps=1, momentum=0.0, bounds=UNBOUNDED)
    torch.testing.assert_close((short - x).abs(), torch.full((5, 6), 0.3))


class TwoHills(nn.Module):
    """Of class 1 at x ≥ 0.6 alone; uphill leads there from above 0.2, and from below to a lower hill at −1."""

    def forward(self, x: Tensor) -> Tensor:
        score = torch.where(x > 0.2, x - 0.6, -0.38 - 0.1 * x)
        return torch.cat([torch.zeros_like(score), score], dim=1)


def on_two_hills(restarts: int, leave_when_fooled: bool = True, seed: int = 0) -> tuple[Tensor, Tensor, Counted]:
    counted = Counted(TwoHills())
    x, y, generator = torch.zeros(200, 1), torch.zeros(200, dtype=torch.int64), torch.Generator().manual_seed(seed)
    options = {"steps": 5, "restarts": restarts, "leave_when_fooled": leave_when_fooled, "generator": generator}
    result = pgd(counted, x, y, 1.0, bounds=(-1.0, 1.0), **options)
    return result, TwoHills()(result).argmax(dim=1) == 1, counted


@pytest.mark.parametrize("leave_when_fooled", [False, True])
def test_every_restart_fools_its_share(leave_when_fooled):
    shares = [on_two_hills(restarts, leave_when_fooled)[1].double().mean() for restarts in (1, 2, 3, 20)]
    for restarts, share in zip((1, 2, 3, 20), shares, strict=True):
        assert abs(share - (1 - 0.6**restarts)) < 4 * 0.5 / math.sqrt(200), restarts
    assert shares == sorted(shares)


def test_fooled_sample_stays_there_and_later_restarts_attack_the_rest():
    (once, fooled, one), (again, _, two) = on_two_hills(1, False), on_two_hills(2, False)
    assert torch.equal(again[fooled], once[fooled])
    assert not torch.equal(again[~fooled], once[~fooled])
    assert one.samples == 5 * 200
    assert two.samples == 5 * 200 + 200 + 5 * int((~fooled).sum())  # the middle ones say who is fooled


def test_restarts_end_when_all_are_fooled(linear):
    classifier, x = linear(6, 2), torch.rand(5, 6)
    counted = Counted(classifier)
    pgd(counted, x, classifier(x).argmax(dim=1), 100.0, steps=3, restarts=9, bounds=UNBOUNDED)
    assert (counted.forwards, counted.graphs, counted.backwards) == (4, 3, 3)


def naive_cross_entropy(z: list[float], y: int) -> float:
    return math.log(sum(math.exp(value) for value in z)) - z[y]


def naive_margin(z: list[float], y: int) -> float:
    return max(value for c, value in enumerate(z) if c != y) - z[y]


def naive_dlr(z: list[float], y: int) -> float:
    ranked = sorted(z, reverse=True)
    return -(z[y] - max(value for c, value in enumerate(z) if c != y)) / (ranked[0] - ranked[2])


@pytest.mark.parametrize(
    ("loss", "classes", "naive"),
    [
        ("cross_entropy", 2, naive_cross_entropy),
        ("cross_entropy", 5, naive_cross_entropy),
        ("margin", 2, naive_margin),
        ("margin", 5, naive_margin),
        ("dlr", 3, naive_dlr),
        ("dlr", 5, naive_dlr),
        ("auto", 2, naive_margin),
        ("auto", 3, naive_cross_entropy),
    ],
)
def test_loss_agrees_with_its_formula(loss, classes, naive):
    logits, y = torch.randn(20, classes, dtype=torch.float64), torch.randint(classes, (20,))
    expected = [naive(z, c) for z, c in zip(logits.tolist(), y.tolist(), strict=True)]
    torch.testing.assert_close(attack_loss(logits, y, loss), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("loss", ["cross_entropy", "margin", "dlr"])
def test_every_loss_is_raised_by_the_attack(loss):
    classifier, x = curved(6, classes=4), torch.rand(16, 6)
    y = classifier(x).argmax(dim=1)
    result = pgd(classifier, x, y, 0.1, loss=loss, steps=10, random_start=False, bounds=(-1.0, 1.0))
    assert (attack_loss(classifier(result), y, loss) > attack_loss(classifier(x), y, loss)).all()


def naive_kl(p: Tensor, q: Tensor) -> Tensor:
    return (p * (p / q).log()).sum(dim=1)


def test_kl_agrees_with_its_formula():
    clean, logits = torch.randn(20, 4, dtype=torch.float64), torch.randn(20, 4, dtype=torch.float64)
    expected = naive_kl(clean.softmax(dim=1), logits.softmax(dim=1))
    torch.testing.assert_close(attack_loss(logits, torch.zeros(20, dtype=torch.int64), "kl", clean), expected)


def test_kl_of_certain_predictions_is_finite():
    clean, logits = torch.tensor([[1e4, 0.0]]), torch.tensor([[0.0, 1e3]])
    torch.testing.assert_close(attack_loss(logits, torch.tensor([0]), "kl", clean), torch.tensor([1e3]))


def test_kl_needs_a_reference():
    with pytest.raises(ValueError, match="'kl' needs the logits of the clean inputs as `reference`"):
        attack_loss(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64), "kl")


@pytest.mark.parametrize("ambient", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_kl_is_the_inner_maximisation_of_trades(ambient):
    classifier, epsilon, stride = wavy(6), 0.2, 0.03
    x, y = torch.rand(8, 6, dtype=torch.float64), torch.randint(3, (8,))
    options = {"loss": "kl", "step_size": stride, "bounds": (0.0, 1.0)}
    point = pgd(classifier, x, y, epsilon, steps=0, generator=torch.Generator().manual_seed(3), **options)
    clean = classifier(x).softmax(dim=1).detach()
    for _ in range(7):
        point = point.requires_grad_()
        naive_kl(clean, classifier(point).softmax(dim=1)).sum().backward()
        point = (point.detach() + stride * point.grad.sign()).clamp(x - epsilon, x + epsilon).clamp(0, 1)
    counted = Counted(classifier)
    with ambient():
        result = pgd(counted, x, y, epsilon, steps=7, generator=torch.Generator().manual_seed(3), **options)
    torch.testing.assert_close(result, point, rtol=0, atol=1e-12)
    assert (counted.forwards, counted.graphs, counted.backwards) == (8, 7, 7)


def overconfident(linear) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """A linear classifier with huge logits, inputs that it knows, and their critical radii in Linf."""
    classifier = linear(20, 2)
    x = torch.randn(64, 20)
    y = classifier(x).argmax(dim=1)
    lead, slope = lead_and_slope(classifier, x, y)
    confident = lead > 0.1
    return Scaled(classifier, 1e4), x[confident], y[confident], (lead / slope.abs().sum(dim=1))[confident]


def test_overconfident_binary_model_is_still_attacked(linear):
    classifier, x, y, radius = overconfident(linear)
    result = pgd(classifier, x, y, 1.01 * radius, bounds=UNBOUNDED)
    assert (classifier(result).argmax(dim=1) != y).all()


def test_cross_entropy_stalls_on_an_overconfident_model(linear):
    classifier, x, y, radius = overconfident(linear)
    result = pgd(classifier, x, y, 2 * radius, loss="cross_entropy", random_start=False, bounds=UNBOUNDED)
    assert torch.equal(result, x)


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epsilon": -0.1}, "`epsilon` should be at least 0. Found -0.1"),
        ({"epsilon": math.nan}, "`epsilon` should be at least 0"),
        ({"epsilon": torch.tensor([0.1, -0.2, 0.1])}, "`epsilon` should be at least 0. Found -0.2"),
        ({"epsilon": torch.ones(2)}, r"`epsilon` should be one number or one per sample \(3\). Found shape \(2,\)"),
        ({"epsilon": torch.ones(3, 1)}, r"`epsilon` .* Found shape \(3, 1\)"),
        ({"y": torch.tensor([0, 1, 3])}, r"`y` should lie in \[0, 3\). Found values from 0 to 3"),
        ({"y": torch.tensor([0, -1, 2])}, r"`y` should lie in \[0, 3\). Found values from -1 to 2"),
        ({"y": torch.tensor([0, 1])}, r"`y` should have shape \(3,\). Found \(2,\)"),
        ({"x": torch.full((3, 6), math.nan)}, "`x` should be finite"),
        ({"x": torch.full((3, 6), math.inf), "bounds": UNBOUNDED}, "`x` should be finite"),
        ({"x": torch.full((3, 6), 1.5)}, r"`x` should lie within `bounds` \(-1.0, 1.0\). Found values from 1.5"),
        ({"x": torch.full((3, 6), -0.1), "bounds": (0.0, 1.0)}, "`x` should lie within `bounds`"),
        ({"bounds": (1.0, -1.0)}, r"`bounds` should be \(low, high\) with low < high"),
        ({"norm": "L0"}, "`norm` should be one of Linf, L2, L1. Found 'L0'"),
        ({"loss": "mse"}, "`loss` should be one of auto, cross_entropy, margin, dlr, kl. Found 'mse'"),
        ({"steps": -1}, "`steps` should be at least 0. Found -1"),
        ({"step_size": -0.1}, "`step_size` should be at least 0. Found -0.1"),
        ({"step_size": math.nan}, "`step_size` should be at least 0. Found nan"),
        ({"step_size": torch.tensor([0.1, -0.2, 0.1])}, "`step_size` should be at least 0. Found -0.2"),
        (
            {"step_size": torch.ones(2)},
            r"`step_size` should be one number or one per sample \(3\). Found shape \(2,\)",
        ),
        ({"momentum": -0.1}, "`momentum` should be at least 0. Found -0.1"),
        ({"momentum": math.nan}, "`momentum` should be at least 0. Found nan"),
        ({"restarts": 0}, "`restarts` should be at least 1. Found 0"),
        ({"restarts": 2, "random_start": False}, "`random_start` should be True .* Found False with restarts=2"),
        ({"loss": "kl", "random_start": False}, "`random_start` should be True .* Found False .* loss='kl'"),
    ],
)
def test_wrong_argument_is_named(changed, message):
    arguments = {
        "x": torch.zeros(3, 6),
        "y": torch.tensor([0, 1, 2]),
        "epsilon": 0.1,
        "bounds": (-1.0, 1.0),
    } | changed
    with pytest.raises(ValueError, match=message):
        pgd(curved(6), **arguments)


@every_norm
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_logits_that_are_not_finite_are_refused(linear, norm, number):
    with pytest.raises(ValueError, match=r"`classifier\(x\)` should be finite. Found 9 NaN or infinite of 9 values"):
        pgd(
            Scaled(linear(6, 3), number),
            torch.rand(3, 6),
            torch.tensor([0, 1, 2]),
            0.1,
            norm=norm,
            bounds=(-1.0, 1.0),
        )


def test_dlr_needs_three_classes():
    with pytest.raises(ValueError, match="'dlr' needs at least three classes"):
        pgd(curved(6, classes=2), torch.zeros(3, 6), torch.tensor([0, 1, 0]), 0.1, loss="dlr", bounds=(-1.0, 1.0))


def test_classifier_without_gradient_is_refused():
    class Detached(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.detach()

    with pytest.raises(ValueError, match="`classifier` should be differentiable"):
        pgd(Detached(), torch.zeros(3, 6), torch.tensor([0, 1, 2]), 0.1, bounds=(-1.0, 1.0))


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize("attack", [pgd, fgsm, mi_fgsm])
@pytest.mark.parametrize("epsilon", [None, "8/255"])
def test_epsilon_that_is_no_number_is_named(attack: Any, epsilon: Any) -> None:
    with pytest.raises(ValueError, match=r"`epsilon` should be one number or one per sample. Found "):
        attack(nn.Linear(3, 2), torch.zeros(1, 3), torch.tensor([0]), epsilon, bounds=(-1.0, 1.0))


def test_infinite_step_is_refused_since_it_has_no_direction_where_the_gradient_is_zero() -> None:
    with pytest.raises(ValueError, match="`step_size` should be finite"):
        pgd(nn.Linear(3, 2), torch.zeros(1, 3), torch.tensor([0]), 0.1, step_size=torch.inf, bounds=(-1.0, 1.0))

"""STA: its objective is the formula, it beats SciPy's form of itself, and every image is attacked alone."""

import math
from collections.abc import Callable
from functools import partial, partialmethod

import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor, nn

from eval import critical_radii
from eval.attacks.finite import FiniteGradients
from eval.attacks.spatial import SpatialObjective, membrane, roughness, spatial_attack
from tests.properties import unchanged
from tests.waits import waits
from training.data import Digits
from training.leaving import Leaving
from training.networks import OneLogit
from training.passes import CountPasses

DOUBLE = torch.float64
Problem = tuple[nn.Module, Tensor, Tensor]


def network(channels: int = 1, classes: int = 10) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, stride=2, padding=1),
        nn.Softplus(4),
        nn.Flatten(),
        nn.Linear(8 * 4 * 4, 32),
        nn.Softplus(4),
        nn.Linear(32, classes),
    ).double()


class Mean(nn.Module):
    """Three times the mean of an image, as a network with one output."""

    def forward(self, x: Tensor) -> Tensor:
        return 3 * x.flatten(1).mean(dim=1)


@pytest.fixture(scope="module")
def digits() -> Problem:
    """A small network in float64 that has learnt to read digits, and twelve that it reads."""
    train, test = (
        next(iter(Digits(batch_size=1000, eval_batch_size=1000).batches(split))) for split in ("train", "test")
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier = network()
    optimizer = torch.optim.Adam(classifier.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(classifier(train.x.double()), train.y).backward()
        optimizer.step()
    classifier.requires_grad_(False)
    x, y = test.x.double(), test.y
    known = classifier(x).argmax(dim=1) == y
    assert known.double().mean() > 0.9
    return classifier, x[known][:12], y[known][:12]


def wrong(problem: Problem, result: Tensor) -> Tensor:
    classifier, _, y = problem
    return classifier(result).argmax(dim=1) != y


def small_problem(count: int = 4, channels: int = 1) -> Problem:
    """An untrained network, images, and the classes it sees."""
    classifier, x = network(channels), 2 * torch.rand(count, channels, 8, 8, dtype=DOUBLE) - 1
    return classifier, x, classifier(x).argmax(dim=1)


def test_roughness_of_a_shear_is_known():
    flow = torch.zeros(2, 2, 5, 7, dtype=DOUBLE)
    flow[0, 0] = 0.3 * torch.arange(7, dtype=DOUBLE)  # stretched along its width: 5 rows of 6 differences
    flow[1, 0] = 0.2 * torch.arange(5, dtype=DOUBLE)[:, None]
    flow[1, 1] = 0.1 * torch.arange(5, dtype=DOUBLE)[:, None]  # 4 differences in each of 7 columns, of two components
    expected = torch.tensor([0.3 * math.sqrt(30) + 1e-5, math.sqrt(28 * (0.2**2 + 0.1**2)) + 1e-5], dtype=DOUBLE)
    torch.testing.assert_close(roughness(flow), expected, rtol=1e-9, atol=1e-9)


def naive_objective(problem: Problem, flow: Tensor, tau: float) -> Tensor:
    """The formula for one image, pixel by pixel."""
    classifier, x, y = problem
    classifier.requires_grad_(False)
    height, width = x.shape[2:]
    image = torch.zeros_like(x)
    for i in range(height):
        for j in range(width):
            row = i - flow[1, i, j] * (height - 1) / 2
            column = j - flow[0, i, j] * (width - 1) / 2
            top, left = (min(int(place), size - 2) for place, size in ((row, height), (column, width)))
            down, right = row - top, column - left
            image[0, :, i, j] = (1 - down) * ((1 - right) * x[0, :, top, left] + right * x[0, :, top, left + 1])
            image[0, :, i, j] += down * ((1 - right) * x[0, :, top + 1, left] + right * x[0, :, top + 1, left + 1])
    logits = classifier(image)[0]
    others = torch.cat([logits[: y[0]], logits[y[0] + 1 :]])
    along = sum((flow[:, :, j + 1] - flow[:, :, j]).square().sum() for j in range(width - 1))
    down = sum((flow[:, i + 1] - flow[:, i]).square().sum() for i in range(height - 1))
    return (logits[y[0]] - others.max()).clamp(min=0) + tau * ((along + 1e-10).sqrt() + (down + 1e-10).sqrt())


@pytest.mark.parametrize("channels", [1, 3])
def test_objective_is_the_formula(channels):
    problem = small_problem(1, channels)
    inside = SpatialObjective(*problem, torch.full((1,), 0.7, dtype=DOUBLE))
    grid = 0.9 * inside.identity + 0.1 * torch.rand_like(inside.identity) - 0.05
    flow = inside.identity - grid.clamp(-1, 1)
    found = inside(flow.flatten().unsqueeze(0), torch.tensor([0]))
    assert float(found.value) == pytest.approx(float(naive_objective(problem, flow, 0.7)), rel=1e-9)


@pytest.mark.parametrize(("options", "times"), [({}, 2), ({"binary_margin": 1.0}, 1)])
def test_margin_of_two_classes_counts_twice(options, times):
    """Of a network with one output z = 3·(mean of x), the image as it is: 2|z| in the paper's units, or |z|."""
    x = torch.full((2, 1, 4, 4), 0.5, dtype=DOUBLE)
    x[1] = -0.25
    classifier, tau = OneLogit(Mean()), torch.tensor([3.0, 7.0], dtype=DOUBLE)
    objective = SpatialObjective(classifier, x, torch.tensor([1, 0]), tau, **options)
    smooth = 2e-5 * tau
    expected = times * torch.tensor([1.5, 0.75], dtype=DOUBLE) + smooth
    torch.testing.assert_close(objective.at_rest().value, expected, rtol=1e-12, atol=0)
    still = objective(torch.zeros(2, 32, dtype=DOUBLE), torch.arange(2)).value
    torch.testing.assert_close(still, expected, rtol=1e-12, atol=0)
    part = objective[torch.tensor([1])]
    torch.testing.assert_close(part.at_rest().value, expected[1:], rtol=1e-12, atol=0)


def test_tau_of_two_classes_is_twice_that_of_the_bare_margin():
    classifier, x = network(classes=2), small_problem(8)[1]
    with torch.no_grad():  # in the middle of the images, which are then fooled by flows
        classifier[-1].bias[1] -= classifier(x).diff(dim=1).median()
    y = classifier(x).argmax(dim=1)
    attack = partial(spatial_attack, classifier, x, y, bounds=(-1.0, 1.0), leave_when_fooled=True)
    strengths = torch.logspace(-0.5, 1.5, 8, dtype=DOUBLE)
    papers, bare = attack(strengths), attack(2 * strengths, binary_margin=1.0)
    assert 0 < wrong((classifier, x, y), papers).sum() < 8
    torch.testing.assert_close(papers, bare, rtol=0, atol=1e-9)


def test_margin_of_more_classes_counts_once():
    classifier, x, y = small_problem()
    attack = partial(spatial_attack, classifier, x, y, 0.5, bounds=(-1.0, 1.0))
    assert torch.equal(attack(), attack(binary_margin=5.0))


def test_gradient_is_the_slope_of_the_value():
    problem = small_problem()
    objective = SpatialObjective(*problem, torch.tensor([0.1, 1, 3, 9], dtype=DOUBLE))
    everyone = torch.arange(4)
    flow = (0.1 * objective.identity).flatten() + 0.05 * torch.rand(4, 128, dtype=DOUBLE)
    direction = torch.randn(4, 128, dtype=DOUBLE)
    ahead, behind = (objective(flow + step * direction, everyone).value for step in (1e-7, -1e-7))
    slope = (objective(flow, everyone).gradient * direction).sum(dim=1)
    torch.testing.assert_close(slope, (ahead - behind) / 2e-7, rtol=1e-5, atol=1e-6)


def test_image_at_rest_is_the_image():
    classifier, x, y = small_problem()
    for dtype, tolerance in ((torch.float32, 1e-6), (DOUBLE, 1e-14)):
        objective = SpatialObjective(classifier, x.to(dtype), y, torch.ones(4, dtype=dtype))
        image = objective.image(torch.zeros(4, 128, dtype=dtype), torch.arange(4))
        torch.testing.assert_close(image, x.to(dtype), rtol=0, atol=tolerance)


def test_gradient_at_rest_is_the_mean_of_both_sides():
    objective = SpatialObjective(*small_problem(), torch.zeros(4, dtype=DOUBLE))
    rest = objective.at_rest()
    sides = []
    for side in (1e-9, -1e-9):
        found = objective(torch.full((4, 128), side, dtype=DOUBLE), torch.arange(4))
        sides.append(found.gradient)
        torch.testing.assert_close(found.value, rest.value, rtol=0, atol=1e-6)
    mean = ((sides[0] + sides[1]) / 2).unflatten(1, (2, 8, 8))
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(rest.gradient.unflatten(1, (2, 8, 8))[inside], mean[inside], rtol=1e-6, atol=1e-6)


def chain(size: int, held: bool) -> Tensor:
    """Second differences of a row of springs, its ends free or tied to walls."""
    stiffness = 2 * torch.eye(size, dtype=DOUBLE)
    stiffness -= torch.diag(torch.ones(size - 1, dtype=DOUBLE), 1) + torch.diag(
        torch.ones(size - 1, dtype=DOUBLE), -1
    )
    if not held:
        stiffness[0, 0] = stiffness[-1, -1] = 1
    return stiffness


def test_membrane_gives_way_as_its_springs_say():
    height, width = 4, 6
    x, pull = torch.zeros(3, 1, height, width, dtype=DOUBLE), torch.randn(3, 2, height, width, dtype=DOUBLE)
    sideways = torch.kron(chain(height, held=False), torch.eye(width)) + torch.kron(
        torch.eye(height), chain(width, held=True)
    )
    lengthways = torch.kron(chain(height, held=True), torch.eye(width)) + torch.kron(
        torch.eye(height), chain(width, held=False)
    )
    given = membrane(x)(pull.flatten(1)).unflatten(1, (2, -1))
    torch.testing.assert_close(given[:, 0] @ sideways, pull[:, 0].flatten(1))
    torch.testing.assert_close(given[:, 1] @ lengthways, pull[:, 1].flatten(1))


def scipy_alone(problem: Problem, tau: float) -> tuple[Tensor, Tensor]:
    """The published minimiser with every image for itself: objective and whether the result is misclassified."""
    objective = SpatialObjective(*problem, torch.full((len(problem[1]),), tau, dtype=DOUBLE))
    identity = objective.identity.flatten()
    values, fooled = [], []
    for index in torch.arange(len(problem[1])).unsqueeze(1):

        def evaluate(grid, index=index):
            return objective(identity - torch.from_numpy(grid).unsqueeze(0), index)

        def value_and_gradient(grid, evaluate=evaluate):
            found = evaluate(grid)
            return float(found.value), -found.gradient.squeeze(0).numpy()

        bounds = [(-1, 1)] * len(identity)
        result = minimize(
            value_and_gradient, identity.numpy(), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 40}
        )
        end = evaluate(result.x)
        values.append(end.value)
        fooled.append(end.goal)
    return torch.cat(values), torch.cat(fooled)


@pytest.mark.slow
@pytest.mark.parametrize("tau", [2.0, pytest.param(10.0, marks=pytest.mark.slow)])
def test_fools_and_minimises_at_least_as_well_as_scipy(digits, tau):
    classifier, x, y = digits
    x, y = x[:6], y[:6]
    values, fooled = scipy_alone((classifier, x, y), tau)
    objective = SpatialObjective(classifier, x, y, torch.full((6,), tau, dtype=DOUBLE))
    minima = objective.minimised(objective.at_rest(), iterations=40, tolerance=1e-6)
    result = spatial_attack(classifier, x, y, 1 / tau, bounds=(-1.0, 1.0))
    assert (classifier(result).argmax(dim=1) != y).sum() >= fooled.sum()
    assert (minima.goal | ~fooled).double().mean() >= 0.9
    assert minima.value.median() <= 1.02 * values.median()


def test_stronger_fools_more_and_zero_nothing(digits):
    classifier, x, y = digits
    shares = [
        float(
            wrong(digits, spatial_attack(classifier, x, y, strength, leave_when_fooled=True, bounds=(-1.0, 1.0)))
            .double()
            .mean()
        )
        for strength in (0.0, 0.002, 0.06, 0.1, 10.0)
    ]
    assert shares == sorted(shares)
    assert shares[:2] == [0, 0]
    assert 0 < shares[2] < 1
    assert shares[-1] == 1


def test_result_is_smoother_where_the_attack_is_weaker(digits):
    classifier, x, y = digits
    rough = []
    for tau in (0.1, 1.0, 10.0):
        objective = SpatialObjective(classifier, x, y, torch.full((12,), tau, dtype=DOUBLE))
        minima = objective.minimised(objective.at_rest(), iterations=40, tolerance=1e-3)
        rough.append(roughness(minima.point.unflatten(1, (2, 8, 8))).median())
    assert rough[0] > rough[1] > rough[2]


def test_no_result_is_worse_than_not_moving(digits):
    classifier, x, y = digits
    objective = SpatialObjective(classifier, x, y, torch.linspace(0.5, 60, 12, dtype=DOUBLE))
    rest = objective.at_rest()
    assert (objective.minimised(rest, stop_at_goal=True).value <= rest.value).all()


@pytest.mark.parametrize("leave_when_fooled", [False, True])
def test_every_image_is_attacked_for_itself(digits, leave_when_fooled):
    classifier, x, y = digits
    strength = torch.linspace(0.01, 0.2, 12, dtype=DOUBLE)
    attack = partial(spatial_attack, iterations=6, bounds=(-1.0, 1.0), leave_when_fooled=leave_when_fooled)
    together = attack(classifier, x, y, strength)
    alone = [attack(classifier, x[i : i + 1], y[i : i + 1], float(strength[i])) for i in range(12)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-6)


def test_leaving_when_fooled_fools_the_same_images_in_fewer_passes(digits):
    classifier, x, y = digits
    whole, leaving = CountPasses(classifier), CountPasses(classifier)
    complete = spatial_attack(whole, x, y, 0.06, bounds=(-1.0, 1.0))
    early = spatial_attack(leaving, x, y, 0.06, leave_when_fooled=True, bounds=(-1.0, 1.0))
    assert 0 < wrong(digits, complete).sum() < 12
    assert torch.equal(wrong(digits, complete), wrong(digits, early))
    assert leaving.backward_passes < 0.5 * whole.backward_passes


def test_misclassified_image_and_strength_zero_cost_one_pass(digits):
    classifier, x, y = digits
    for labels, strength in (((y + 1) % 10, 1.0), (y, 0.0), (y, 1e-320)):
        counted = CountPasses(classifier)
        assert torch.equal(spatial_attack(counted, x, labels, strength, bounds=(-1.0, 1.0)), x)
        assert counted.forward_passes == 12


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (0.0, 1.0), (0.25, 0.75)])
def test_result_lies_within_bounds(bounds):
    classifier = network().float()
    x = bounds[0] + (bounds[1] - bounds[0]) * torch.rand(6, 1, 8, 8).round()
    result = spatial_attack(classifier, x, classifier(x).argmax(dim=1), 100.0, bounds=bounds, iterations=10)
    assert not torch.equal(result, x)
    assert result.min() >= bounds[0]
    assert result.max() <= bounds[1]


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (2, 5, 9), (1, 2, 2)])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_images_of_every_shape_are_taken(shape, count):
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 3))
    x = 2 * torch.rand(count, *shape) - 1
    result = spatial_attack(classifier, x, torch.randint(3, (count,)), 2.0, iterations=3, bounds=(-1.0, 1.0))
    assert result.shape == x.shape


def test_constant_image_cannot_be_moved():
    classifier = network().float()
    x = torch.full((2, 1, 8, 8), 0.25)
    y = classifier(x).argmax(dim=1)
    torch.testing.assert_close(spatial_attack(classifier, x, y, 100.0, bounds=(-1.0, 1.0)), x, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_radii_end_in_verified_strengths(digits):
    classifier, x, y = digits
    attack = partial(spatial_attack, leave_when_fooled=True)
    radii = critical_radii(
        classifier, [(x, y)], attack, norm=None, bounds=(-1.0, 1.0), epsilon_max=10.0, resolution=0.3
    )
    assert radii.per_sample.isfinite().all()
    assert radii.rejected == 0
    assert wrong(digits, attack(classifier, x, y, radii.per_sample, bounds=(-1.0, 1.0))).all()
    assert not wrong(digits, attack(classifier, x, y, radii.lower, bounds=(-1.0, 1.0))).any()


@pytest.mark.parametrize("ambient", [torch.no_grad, torch.inference_mode])
def test_no_trace_is_left_and_gradients_of_others_do_not_hinder(ambient):
    classifier = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Dropout(), nn.Linear(64, 3)).train()
    x, y = torch.rand(5, 1, 8, 8), torch.arange(5) % 3
    before = x.clone()
    expected = spatial_attack(classifier, x, y, 1.0, iterations=3, bounds=(-1.0, 1.0))
    with unchanged(classifier), ambient():
        result = spatial_attack(classifier, x.clone(), y.clone(), 1.0, iterations=3, bounds=(-1.0, 1.0))
    assert torch.equal(result, expected)
    assert torch.equal(x, before)
    assert not result.requires_grad


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": torch.zeros(3, 64)}, r"`x` should be images \(B, C, H, W\).* Found shape \(3, 64\)"),
        (
            {"x": torch.zeros(3, 1, 1, 64)},
            r"`x` should be images .* at least 2×2 pixels. Found shape \(3, 1, 1, 64\)",
        ),
        ({"x": torch.full((3, 1, 8, 8), math.nan)}, "`x` should be finite"),
        ({"x": torch.full((3, 1, 8, 8), 1.5)}, r"`x` should lie within `bounds` \(-1.0, 1.0\)"),
        ({"y": torch.tensor([0, 1, 3])}, r"`y` should lie in \[0, 3\). Found values from 0 to 3"),
        ({"y": torch.tensor([0, 1])}, r"`y` should have shape \(3,\). Found \(2,\)"),
        ({"strength": -0.1}, "`strength` should be at least 0. Found -0.1"),
        ({"strength": math.nan}, "`strength` should be at least 0"),
        ({"strength": torch.ones(2)}, r"`strength` should be one number or one per sample \(3\)"),
        ({"norm": "L2"}, "`norm` should be None.* Found 'L2'"),
        ({"iterations": 0}, "`iterations` should be at least 1. Found 0"),
        ({"binary_margin": 0.0}, "`binary_margin` should be finite and above 0. Found 0.0"),
        ({"binary_margin": math.inf}, "`binary_margin` should be finite and above 0. Found inf"),
    ],
)
def test_wrong_argument_is_named(changed, message):
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    arguments = {
        "x": torch.zeros(3, 1, 8, 8),
        "y": torch.tensor([0, 1, 2]),
        "strength": 1.0,
        "bounds": (-1.0, 1.0),
    } | changed
    with pytest.raises(ValueError, match=message):
        spatial_attack(classifier, **arguments)


def refused(logits: Callable[[Tensor], Tensor]) -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return logits(x.flatten(1)[:, :3])

    spatial_attack(Broken(), torch.rand(3, 1, 8, 8), torch.tensor([0, 1, 2]), 1.0, bounds=(-1.0, 1.0))


def test_classifier_without_gradient_is_refused():
    with pytest.raises(ValueError, match="`classifier` should be differentiable"):
        refused(lambda logits: logits.detach())


def test_logits_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match=r"`classifier\(x\)` should be finite"):
        refused(lambda logits: logits / 0)


class ByImage(nn.Module):
    """Sums that do not depend on how many images there are."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.randn(3, 64, dtype=DOUBLE))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(x.flatten(1).unsqueeze(1) * self.slope)
        return (hidden * self.slope.flip(0)).sum(dim=2)


@pytest.mark.parametrize("leave_when_fooled", [pytest.param(False, marks=pytest.mark.slow), True])
def test_images_that_leave_in_buckets_end_where_they_would_have(leave_when_fooled, monkeypatch):
    classifier, x = ByImage(), 2 * torch.rand(140, 1, 8, 8, dtype=DOUBLE) - 1
    y = classifier(x).argmax(dim=1)
    y[:5] = (y[:5] + 1) % 3
    strength = torch.logspace(-2, 2, 140, dtype=DOUBLE)
    attack = partial(spatial_attack, y=y, strength=strength, bounds=(-1.0, 1.0), leave_when_fooled=leave_when_fooled)
    expected = attack(classifier, x)
    assert 20 < (classifier(expected).argmax(dim=1) != y).sum() < 140
    sizes: list[int] = []
    classifier.register_forward_pre_hook(lambda module, given: sizes.append(len(given[0])))
    for every in (1, 8, 30):
        monkeypatch.setattr(Leaving, "for_device", lambda device, every=every: Leaving(every, buckets=True))
        sizes.clear()
        torch.testing.assert_close(attack(classifier, x), expected, rtol=0, atol=1e-9)
        assert {128, 64} <= set(sizes[1:]) or every > 1
        assert len(set(sizes)) <= 4


def test_minimisation_asks_for_values_only_where_it_is_decided_who_leaves():
    """Nothing else in the loop would make a GPU wait."""
    problem, start = small_problem(), torch.zeros(4, 128, dtype=DOUBLE)
    objective = SpatialObjective(*problem, torch.ones(4, dtype=DOUBLE))
    objective.gradients = FiniteGradients(start.device, at_once=False)
    decided: list[Tensor] = []

    def rows(stays: Tensor) -> Tensor | None:
        decided.append(stays)
        return None if len(decided) < 9 else torch.arange(0)

    first = objective.at_rest()
    with waits() as found:
        minima = objective.minimised(first, iterations=3, rows=rows)
    assert not decided[-2].any()
    assert (minima.iterations <= 3).all()
    assert len(found) == 1  # before the first round: whether all have a slope


def test_gradients_are_refused_at_the_end_too(monkeypatch):
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            flat = x.flatten(1)
            return torch.stack([flat[:, 0], (flat[:, 1] - flat[:, 1].detach()).abs().sqrt() - 9], dim=1)

    monkeypatch.setattr(FiniteGradients, "__init__", partialmethod(FiniteGradients.__init__, at_once=False))
    x = torch.rand(2, 1, 4, 4)
    with pytest.raises(
        ValueError, match=r"`gradient of classifier\(x\)` should be finite. Found \d+ NaN or infinite"
    ):
        spatial_attack(Broken(), x, torch.zeros(2, dtype=torch.int64), 1.0, bounds=(-1.0, 1.0))

"""What ε50% costs, and that it is the median of what an attack on every sample finds."""

from functools import partial
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from eval.robustness.radii import Radii, critical_radii, median, median_interval
from tests.eval.classifiers import Half, half_problem, known_radii
from training import Classifier, Plain, pgd
from training.data import MNISTPair
from training.passes import CountPasses

NORMS = ["Linf", "L2", "L1"]
STEADY = partial(pgd, random_start=False, leave_when_fooled=True)


def ranked(classifier: nn.Module, x: Tensor, y: Tensor, strength: float, norm: str) -> float:
    """Share of samples that the attack fools at one strength."""
    counted = classifier(STEADY(classifier, x, y, strength, norm=norm, bounds=(-1.0, 1.0))).argmax(dim=1) != y
    return float(counted.double().mean())


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))])
@pytest.mark.parametrize("norm", ["Linf", pytest.param("L2", marks=pytest.mark.slow), "L1"])
def test_median_lies_where_half_are_fooled_by_brute_force(norm: str, seed: int) -> None:
    torch.manual_seed(seed)
    width, classes = (4, 8, 16)[seed % 3], (2, 5)[seed % 2]
    classifier = nn.Sequential(nn.Linear(10, width), nn.Tanh(), nn.Linear(width, classes))
    x = torch.rand(81, 10) - 0.5
    y = classifier(x).argmax(dim=1)
    y = torch.where(torch.rand(81) < 0.1, (y + 1) % classes, y)
    radii = critical_radii(
        classifier, [(x, y)], STEADY, bounds=(-1.0, 1.0), norm=norm, only="median", resolution=0.01, seed=seed
    )
    # A success at the strength found may have come from a larger one, whose iterates lie elsewhere.
    assert ranked(classifier, x, y, 1.005 * radii.epsilon50, norm) > 0.5
    assert ranked(classifier, x, y, 0.985 * radii.epsilon50, norm) < 0.5


@pytest.mark.parametrize("norm", ["Linf", pytest.param("L2", marks=pytest.mark.slow), "L1"])
@pytest.mark.parametrize("only", ["median", "all"])
def test_linear_classifier_is_measured_exactly(norm: str, only: str) -> None:
    classifier, x, y = half_problem(400)
    order = {"Linf": 1.0, "L2": 2.0, "L1": torch.inf}[norm]
    score = (x.double() @ classifier.slope.double()).detach()
    slope = torch.linalg.vector_norm(classifier.slope.detach().double(), ord=order)
    known = median(torch.where((score > 0).long() == y, score.abs() / slope, 0))
    radii = critical_radii(classifier, [(x, y)], STEADY, bounds=(-1.0, 1.0), norm=norm, only=only)  # type: ignore[arg-type]
    assert known * (1 - 1e-5) <= radii.epsilon50 <= known * 1.0102


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
@pytest.mark.parametrize(("only", "most"), [("median", 30), ("all", 100)])
def test_linear_classifier_costs_less_than_one_run(only: str, most: int, seed: int) -> None:
    classifier, x, y = half_problem(500)
    counted = CountPasses(classifier)
    radii = critical_radii(
        counted,
        [(x, y)],
        partial(pgd, leave_when_fooled=True),
        bounds=(-1.0, 1.0),
        only=only,
        seed=seed,  # type: ignore[arg-type]
    )
    assert counted.backward_passes == radii.backward_passes <= most * len(x)
    assert counted.forward_passes == radii.forward_passes


def test_bracket_is_closed_by_failures_and_successes_of_the_attack() -> None:
    """Predictions place strengths, and are no evidence: every bracket ends where the attack was."""

    def recorded(classifier: nn.Module, x: Tensor, y: Tensor, strength: Tensor, **options: object) -> Tensor:
        tried.append(strength.clone())
        return pgd(classifier, x, y, strength, leave_when_fooled=True, **options)  # type: ignore[arg-type]

    tried: list[Tensor] = []
    classifier, x, y = half_problem(200)
    radii = critical_radii(classifier, [(x, y)], recorded, bounds=(-1.0, 1.0), only="median")
    lower = radii.lower[radii.lower > 0].float()
    assert torch.isin(lower, torch.cat(tried)).all()
    failed = (radii.lower >= 0.99 * radii.epsilon50).double().mean()
    assert 0.49 < failed < 0.52
    assert float((radii.upper <= radii.epsilon50).double().mean()) >= 0.5


@pytest.mark.parametrize("scale", [0.05, pytest.param(20.0, marks=pytest.mark.slow)])
def test_misleading_gradients_cost_more_and_change_nothing(scale: float) -> None:
    class Misleading(Half):
        """The gradient is so many times too large, and predicts radii as much too small."""

        def forward(self, x: Tensor) -> Tensor:
            steep = scale * x
            return super().forward(x.detach() + steep - steep.detach())

    linear, x, y = half_problem(120)
    classifier = Misleading(linear.slope.detach())
    known = median(known_radii(linear, x, y, "Linf"))
    radii = critical_radii(classifier, [(x, y)], STEADY, bounds=(-1.0, 1.0), only="median")
    assert known * (1 - 1e-5) <= radii.epsilon50 <= known * 1.0102


@pytest.mark.parametrize("only", ["median", pytest.param("all", marks=pytest.mark.slow)])
@pytest.mark.parametrize("resolution", [pytest.param(0.01, marks=pytest.mark.slow), 1e-4])
def test_bisection_of_many_rounds_ends(only: str, resolution: float) -> None:
    """Predictions a million times too small; the pace, which is squared in each round, once left the floats."""

    class Absurd(Half):
        def forward(self, x: Tensor) -> Tensor:
            steep = 1e6 * x
            return super().forward(x.detach() + (steep - steep.detach()))

    def whole(classifier: nn.Module, x: Tensor, y: Tensor, strength: Tensor, **_: object) -> Tensor:
        return x + strength[:, None] * (1 - 2 * y[:, None]) * linear.slope.detach().sign()

    linear, x, y = half_problem(2)
    y = linear(x).argmax(dim=1)
    known = median(known_radii(linear, x, y, "Linf"))
    options = {"bounds": (-100.0, 100.0), "only": only, "resolution": resolution}
    found = critical_radii(Absurd(linear.slope.detach()), [(x, y)], whole, **options).epsilon50  # type: ignore[arg-type]
    assert known * (1 - 1e-4) <= found <= known * (1 + 1.02 * resolution) * (1 + 1e-4)


@pytest.mark.parametrize("only", ["median", "all"])
def test_attack_that_succeeds_by_chance_ends(only: str) -> None:
    """No monotone attack: what it finds at one strength it may miss at the next."""

    def chancy(
        classifier: nn.Module, x: Tensor, y: Tensor, strength: Tensor, *, generator: torch.Generator, **_: object
    ) -> Tensor:
        lucky = torch.rand(len(x), generator=generator) < 0.5
        step = strength[:, None] * (1 - 2 * y[:, None]) * slope.sign() * (1 - 1e-6)
        return torch.where(lucky[:, None], x + step, x)

    slope = torch.randn(6)
    x = 0.2 * torch.rand(90, 6) - 0.1
    classifier = Half(slope)
    y = classifier(x).argmax(dim=1)
    radii = critical_radii(classifier, [(x, y)], chancy, bounds=(-1.0, 1.0), only=only)  # type: ignore[arg-type]
    exact = known_radii(classifier, x, y, "Linf")
    assert (radii.upper >= exact * (1 - 1e-5)).all()
    assert radii.epsilon50 < 2 * median(exact)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(
    ("batches", "seed"), [(2, 1), *(pytest.param(None, seed, marks=pytest.mark.slow) for seed in (0, 1))]
)
def test_median_on_real_images_costs_no_more_than_one_run(
    real_data: Path,
    quiet_trainer,  # type: ignore[no-untyped-def]
    batches: int | None,
    seed: int,
) -> None:
    """40 gradient evaluations per sample are the price of one PGD-40 run; failures of half are 20 of them."""
    data = MNISTPair(data_root=str(real_data), batch_size=64)
    module = Classifier(
        "small_cnn", shape=data.shape, objective=Plain(), optimizer=partial(torch.optim.Adam, lr=1e-3)
    )
    quiet_trainer(1, limit_train_batches=batches and 20 * batches, limit_val_batches=0).fit(module, data)
    classifier = CountPasses(module.network.eval())
    attack = partial(pgd, steps=40, step_size=0.02, leave_when_fooled=True)
    radii: Radii = critical_radii(
        classifier, islice(data.batches("test"), batches), attack, bounds=data.bounds, only="median", seed=seed
    )
    assert classifier.backward_passes == radii.backward_passes <= 40 * len(radii.per_sample)
    middle = (len(radii.upper) - 1) // 2
    low, high = radii.lower.sort().values[middle], radii.upper.sort().values[middle]
    assert high - low <= 0.01 * high


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_interval_is_found_where_it_is_asked_for(seed: int) -> None:
    """It holds the order statistics of the true radii, is hardly wider, and costs few samples."""
    torch.manual_seed(seed)
    linear, x, y = half_problem(300)
    known = known_radii(linear, x, y, "Linf")
    expected = median_interval(known.tolist(), known.tolist())
    attack = partial(STEADY, steps=20)
    options = {"bounds": (-1.0, 1.0), "only": "median"}
    without, found = (critical_radii(linear, [(x, y)], attack, interval=asked, **options) for asked in (False, True))
    low, high = found.interval()
    assert found.epsilon50 == without.epsilon50
    assert 0.85 * expected[0] <= low <= expected[0] * 1.001
    assert expected[1] * 0.999 <= high <= 1.15 * expected[1]
    assert found.backward_passes - without.backward_passes < 20 * 0.4 * len(x)

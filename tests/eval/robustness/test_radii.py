from functools import partial

import pytest
import torch
from torch import Tensor, nn

from eval.robustness.predicted import predicted_radii
from eval.robustness.radii import Radii, critical_radii, median
from tests.eval.classifiers import Half, half_problem, known_radii
from tests.properties import unchanged
from training import pgd
from training.passes import CountPasses

# Without a random start PGD reaches the closed form of a linear classifier to rounding.
ATTACK = partial(pgd, random_start=False, leave_when_fooled=True)
search = partial(critical_radii, bounds=(-1.0, 1.0))
NORMS = ["Linf", "L2"]


def in_batches(x: Tensor, y: Tensor, size: int = 16) -> list[tuple[Tensor, Tensor]]:
    return list(zip(x.split(size), y.split(size), strict=True))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("count", [1, *(pytest.param(count, marks=pytest.mark.slow) for count in (2, 3, 8)), 60])
def test_radii_of_a_linear_classifier_are_its_distances(norm: str, count: int) -> None:
    classifier, x, y = half_problem(count)
    known = known_radii(classifier, x, y, norm)
    radii = search(classifier, in_batches(x, y), ATTACK, norm=norm, resolution=0.01)
    assert torch.equal(radii.per_sample == 0, known == 0)
    assert (radii.per_sample >= known * (1 - 1e-5)).all()
    assert (radii.per_sample <= known * 1.0102).all()
    assert (radii.lower <= known * (1 + 1e-5)).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("count", [1, *(pytest.param(count, marks=pytest.mark.slow) for count in (2, 3, 40)), 301])
def test_median_is_found_without_closing_all_radii(norm: str, count: int) -> None:
    classifier, x, y = half_problem(count)
    known = median(known_radii(classifier, x, y, norm))
    radii = search(classifier, in_batches(x, y), ATTACK, norm=norm, resolution=0.01, only="median", pilot=20, seed=3)
    assert known * (1 - 1e-5) <= radii.epsilon50 <= known * 1.0102


def test_median_costs_a_fraction_of_all_radii() -> None:
    classifier, x, y = half_problem(400)
    cost = {
        only: search(classifier, in_batches(x, y), ATTACK, only=only).backward_passes for only in ("median", "all")
    }
    assert cost["median"] < 0.4 * cost["all"]


@pytest.mark.parametrize("guess", [*(pytest.param(g, marks=pytest.mark.slow) for g in (1e-4, 0.01, 0.5)), 2.0])
def test_a_guess_changes_the_cost_and_not_the_result(guess: float) -> None:
    classifier, x, y = half_problem(60)
    known = median(known_radii(classifier, x, y, "Linf"))
    found = search(classifier, in_batches(x, y), ATTACK, only="median", guess=guess).epsilon50
    assert known * (1 - 1e-5) <= found <= known * 1.0102


def test_coarse_curve_still_has_a_fine_median() -> None:
    classifier, x, y = half_problem(101)
    known = known_radii(classifier, x, y, "L2")
    radii = search(classifier, in_batches(x, y), ATTACK, norm="L2", resolution=0.005, curve_resolution=0.1)
    assert median(known) * (1 - 1e-5) <= radii.epsilon50 <= median(known) * 1.0051
    assert (radii.per_sample <= known * 1.112).all()


def test_what_no_strength_reaches_is_infinite() -> None:
    classifier, x, y = half_problem(60)
    known = known_radii(classifier, x, y, "Linf")
    ceiling = 1.1 * median(known)
    radii = search(classifier, in_batches(x, y), ATTACK, epsilon_max=ceiling)
    assert torch.equal(radii.per_sample.isinf(), known > ceiling)
    low = search(classifier, in_batches(x, y), ATTACK, epsilon_max=0.5 * median(known), only="median")
    assert low.epsilon50 == float("inf")


def test_mostly_wrong_classifier_has_a_median_of_zero() -> None:
    classifier, x, _ = half_problem(20)
    wrong = 1 - classifier(x).argmax(dim=1)
    radii = search(classifier, in_batches(x, wrong), ATTACK, only="median")
    assert radii.epsilon50 == 0
    assert radii.backward_passes == 0


def test_accuracy_is_the_share_of_larger_radii() -> None:
    classifier, x, y = half_problem(100)
    known = known_radii(classifier, x, y, "Linf")
    radii = search(classifier, in_batches(x, y), ATTACK, resolution=0.001)
    for epsilon in (0.0, 0.003, 0.02, 0.05):
        assert radii.accuracy_at(epsilon) == pytest.approx(float((known > epsilon).double().mean()), abs=0.011)
    assert radii.accuracy_at(radii.epsilon50) == pytest.approx(0.5, abs=0.01)


def test_accuracy_that_is_not_known_is_refused() -> None:
    classifier, x, y = half_problem(200)
    radii = search(classifier, in_batches(x, y), ATTACK, only="median", pilot=20)
    with pytest.raises(ValueError, match="were only bracketed"):
        radii.accuracy_at(1.5 * radii.epsilon50)
    with pytest.raises(ValueError, match=r"`epsilon` should lie in \[0, 2.0\]. Found 3"):
        radii.accuracy_at(3.0)


def test_lying_attack_is_rejected_and_counted() -> None:
    def liar(classifier: nn.Module, x: Tensor, y: Tensor, strength: Tensor, **_: object) -> Tensor:
        return -x

    classifier, x, y = half_problem(30)
    y = classifier(x).argmax(dim=1)
    radii = search(classifier, in_batches(x, y), liar, epsilon_max=0.01)
    honest = 2 * x.abs().amax(dim=1).double() <= 0.01
    assert torch.equal(radii.per_sample.isfinite(), honest)
    assert radii.rejected > 0


def test_black_box_attack_needs_no_gradient() -> None:
    class Rounded(Half):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward((8 * x.detach()).round() / 8)

    def opposite(classifier: nn.Module, x: Tensor, y: Tensor, strength: Tensor, **_: object) -> Tensor:
        return (x - strength[:, None] * (2 * y[:, None] - 1) * slope.sign()).clamp(-1, 1)

    slope = torch.randn(6)
    x = torch.rand(20, 6) - 0.5
    classifier = Rounded(slope)
    y = classifier(x).argmax(dim=1)
    radii = search(classifier, in_batches(x, y), opposite)
    assert radii.per_sample.isfinite().all()
    assert radii.backward_passes == 0


@pytest.mark.parametrize("only", ["all", "median"])
def test_search_leaves_no_trace(only: str) -> None:
    classifier = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3))
    x, y = torch.rand(12, 4), torch.arange(12) % 3
    with unchanged(classifier), torch.inference_mode():
        search(classifier, in_batches(x, y), ATTACK, only=only)


@pytest.mark.slow
def test_same_seed_gives_the_same_radii() -> None:
    classifier = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    x = torch.rand(30, 4)
    work = in_batches(x, classifier(x).argmax(dim=1))
    attack = partial(pgd, leave_when_fooled=True)
    first, again, other = (search(classifier, work, attack, seed=seed).per_sample for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("gradients", [1, 2, 3])
def test_predictions_are_exact_for_linear_classifiers(gradients: int) -> None:
    classifier, x, y = half_problem(20)
    y = classifier(x).argmax(dim=1)
    counted = CountPasses(classifier)
    for norm in NORMS:
        known = known_radii(classifier, x, y, norm)
        predicted = predicted_radii(counted, x, y, norm, (-1.0, 1.0), gradients=gradients)  # type: ignore[arg-type]
        assert torch.allclose(predicted.double(), known, rtol=1e-4)
    assert counted.backward_passes == len(NORMS) * gradients * len(x)


def test_passes_are_counted_in_samples() -> None:
    counted = CountPasses(nn.Linear(3, 2))
    x = torch.randn(5, 3, requires_grad=True)
    logits = counted(x)
    logits[:, 0].sum().backward(retain_graph=True)
    torch.autograd.grad(logits.sum(), x)
    assert (counted.forward_passes, counted.backward_passes) == (5, 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 0.0}, r"`resolution` should lie in \(0, 1\). Found 0.0"),
        ({"epsilon_max": 0.0}, "`epsilon_max` should be above 0 and finite. Found 0.0"),
        ({"bounds": (0.0, 1.0)}, r"`x` should lie within `bounds` \(0.0, 1.0\)"),
    ],
)
def test_bad_options_are_refused(options: dict, message: str) -> None:
    classifier, x, y = half_problem(4)
    with pytest.raises(ValueError, match=message):
        search(classifier, in_batches(x, y), ATTACK, **options)


def test_no_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="`batches` should hold at least one sample"):
        search(Half(torch.ones(2)), [], ATTACK)


def test_nan_logits_are_refused() -> None:
    classifier = Half(torch.full((2,), torch.nan))
    with pytest.raises(ValueError, match=r"`classifier\(x\)` should be finite"):
        search(classifier, [(torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64))], ATTACK)


def test_radii_are_frozen() -> None:
    radii = Radii(torch.zeros(1), torch.zeros(1), 1.0, 0.01, "all", 0, 1, 0, 0.0)
    with pytest.raises(AttributeError):
        radii.resolution = 0.5  # type: ignore[misc]

import math
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam

from eval.attacks.square import square_attack
from eval.robustness.masking import Sign, masking_signs, masking_verdict, summary
from eval.robustness.radii import critical_radii, median
from tests.alignment.classifiers import Answer, Detached
from tests.eval.classifiers import Half, Radial, half_problem, known_radii
from tests.properties import unchanged
from training import pgd
from training.classifier import Classifier
from training.data.digits import Digits
from training.data.spheres import Spheres
from training.objectives import AT, Objective, Plain
from training.passes import CountPasses
from training.strength import Strength

BLACK_BOX = "black box is stronger"
HUGE = "correct at a huge ε"
RISES = "accuracy rises with ε"
SINGLE = "single step is stronger"
EFFORT = "more effort still gains"
GRADIENT = "no gradient"
DIFFER = "outputs differ"
SOFTMAX = "softmax as logits"
look = partial(masking_signs, bounds=(-1.0, 1.0))
NAMES = [BLACK_BOX, HUGE, RISES, SINGLE, EFFORT, GRADIENT, DIFFER, SOFTMAX]

Network = Callable[[Tensor], Tensor]
Samples = list[tuple[Tensor, Tensor]]
Trainer = Callable[..., object]

MASKED: dict[str, tuple[Callable[[Network, Tensor], Tensor], set[str]]] = {
    "quantised input": (lambda network, x: network((4 * x).round() / 4), {GRADIENT, HUGE, BLACK_BOX}),
    "clipped input": (lambda network, x: network(x.clamp(-0.6, 0.6)), {HUGE}),
    "saturated logits": (lambda network, x: (1e4 * network(x)).sigmoid(), {GRADIENT, HUGE}),
    "scaled logits": (lambda network, x: 1e6 * network(x), {GRADIENT, HUGE}),
    "shattered gradient": (lambda network, x: network(x + 0.1 * (100 * x).sin()), {BLACK_BOX, SINGLE, RISES}),
    "noisy input": (lambda network, x: network(x + 0.6 * torch.rand_like(x)), {DIFFER, EFFORT}),
    "dropped inputs": (lambda network, x: network(x * (torch.rand_like(x) < 0.9)), {DIFFER, EFFORT}),
    "softmax head": (lambda network, x: network(x).softmax(dim=1), {SOFTMAX}),
    "one class always": (lambda network, x: 0 * network(x) + torch.arange(10.0), {GRADIENT, HUGE}),
    "no graph": (lambda network, x: network(x.detach()), {GRADIENT, HUGE, BLACK_BOX}),
    "NaN gradient": (lambda network, x: network(x) + (0 * x.sum()).sqrt(), {GRADIENT, HUGE, BLACK_BOX}),
}

QUICKLY_CAUGHT = ["clipped input", "shattered gradient", "noisy input", "softmax head", "no graph"]
"""Together they have every sign; the tests of the others are slow."""

QUICK = {"steps": 10, "black_box": partial(square_attack, queries=150)}
TRAINED: dict[str, nn.Module] = {}


def trained(name: str, objective: Objective, trainer: Trainer) -> nn.Module:
    """A small network for digits, trained once."""
    if name not in TRAINED:
        module = Classifier(
            shape=Digits.shape,
            num_classes=len(Digits.classes),
            network_options={"width": 8, "hidden": 50},
            objective=objective,
            optimizer=partial(Adam, lr=2e-3),
        )
        trainer(10).fit(module, Digits())  # type: ignore[attr-defined]
        TRAINED[name] = module.network
    return TRAINED[name]


@pytest.fixture
def plain(quiet_trainer: Trainer) -> nn.Module:
    return trained("plain", Plain(), quiet_trainer)


@pytest.fixture
def robust(quiet_trainer: Trainer) -> nn.Module:
    return trained("robust", AT(Strength(0.3), steps=3), quiet_trainer)


@pytest.fixture(scope="module")
def digits() -> Samples:
    x, y, _ = next(iter(Digits().batches("test")))
    return [(x[:60], y[:60]), (x[60:100], y[60:100])]


def caught(signs: list[Sign]) -> set[str]:
    return {sign.name for sign in signs if sign.caught}


def figure(signs: list[Sign], name: str) -> float:
    return next(sign.figure for sign in signs if sign.name == name)


def nobody(classifier: nn.Module, x: Tensor, y: Tensor, strength: Tensor, **_: object) -> Tensor:
    return x


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICKLY_CAUGHT else pytest.mark.slow) for name in MASKED]
)
def test_model_built_to_mask_is_caught(name: str, plain: nn.Module, digits: Samples) -> None:
    built, expected = MASKED[name]
    masked = Answer(partial(built, plain))
    assert caught(look(masked, digits, epsilon=0.2, **QUICK)) >= expected


@pytest.mark.parametrize(
    ("network", "epsilon"),
    [
        ("plain", 0.2),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [("robust", 0.35), ("plain", 0.1), ("robust", 0.2)]
        ),
    ],
)
def test_honest_model_is_not_caught(
    network: str, epsilon: float, digits: Samples, request: pytest.FixtureRequest
) -> None:
    signs = look(request.getfixturevalue(network), digits, epsilon=epsilon, **QUICK)
    assert [sign.name for sign in signs] == NAMES
    assert not caught(signs)


@pytest.mark.parametrize("norm", ["Linf", pytest.param("L2", marks=pytest.mark.slow)])
def test_linear_and_radial_classifiers_have_no_sign(norm: str) -> None:
    classifier, x, y = half_problem(60)
    assert not caught(look(classifier, [(x, y)], epsilon=0.03, norm=norm, **QUICK))
    sphere = next(iter(Spheres(30).batches("test")))
    far = (-float("inf"), float("inf"))
    assert not caught(look(Radial(), [(sphere.x, sphere.y)], epsilon=0.1, norm=norm, bounds=far, **QUICK))


@pytest.mark.parametrize("trainable", [True, False])
def test_figures_of_a_classifier_without_gradient_are_known(trainable: bool) -> None:
    def optimal(classifier: nn.Module, x: Tensor, y: Tensor, strength: Tensor, **_: object) -> Tensor:
        return x + (strength * 0.999999)[:, None] * (1 - 2 * y[:, None]) * half.slope.detach().sign()

    half, x, y = half_problem(80)
    radii = known_radii(half, x, y, "Linf")
    signs = look(Detached(half, trainable=trainable), [(x, y)], epsilon=0.02, black_box=optimal)
    right, fragile = 100 * float((radii > 0).double().mean()), (radii > 0) & (radii < 0.02 * 0.999999)
    assert figure(signs, HUGE) == figure(signs, GRADIENT) == pytest.approx(right)
    assert figure(signs, BLACK_BOX) == pytest.approx(100 * float(fragile.double().mean()))
    assert 0 < figure(signs, BLACK_BOX) < right


def test_class_that_gradients_overlook_is_no_sign_where_they_find_it_when_told() -> None:
    def overlooked(x: Tensor) -> Tensor:
        """Class 1 comes close and never wins, downhill; class 2 wins at the far end, uphill."""
        height = x[:, 0]
        return torch.stack([0 * height, -0.5 - 0.4 * (5 * height).tanh(), 64 * height - 30], dim=1)

    def upwards(classifier: nn.Module, x: Tensor, y: Tensor, strength: Tensor, **_: object) -> Tensor:
        return x + 0.999999 * strength[:, None]

    x, y = torch.zeros(20, 1), torch.zeros(20, dtype=torch.int64)
    signs = look(Answer(overlooked), [(x, y)], epsilon=0.5, steps=10, black_box=upwards)
    assert figure(signs, BLACK_BOX) == 0
    assert figure(signs, HUGE) == 100


@pytest.mark.parametrize(("boundary", "alone"), [(0.5 + 1e-7, 0.0), (0.52, 0.0), (0.53, 100.0)])
def test_gradient_attack_that_needs_up_to_a_twentieth_more_is_not_weaker(boundary: float, alone: float) -> None:
    """The boundary is beyond ε for PGD; the black box knows a point below ε, which no gradient shows."""

    def gap(x: Tensor) -> Tensor:
        score = torch.where((x - 0.3).abs() < 1e-9, 1.0, x - boundary)
        return torch.cat([-score, score], dim=1)

    def knowing(classifier: nn.Module, x: Tensor, y: Tensor, strength: Tensor, **_: object) -> Tensor:
        return torch.full_like(x, 0.3)

    x, y = torch.zeros(5, 1, dtype=torch.float64), torch.zeros(5, dtype=torch.int64)
    assert figure(look(Answer(gap), [(x, y)], epsilon=0.5, steps=10, black_box=knowing), BLACK_BOX) == alone


def test_lying_black_box_is_not_believed() -> None:
    def liar(classifier: nn.Module, x: Tensor, y: Tensor, strength: Tensor, **_: object) -> Tensor:
        return -x

    classifier, x, _ = half_problem(40)
    x = x.sign() / 2
    signs = look(classifier, [(x, classifier(x).argmax(dim=1))], epsilon=0.01, black_box=liar)
    assert figure(signs, BLACK_BOX) == 0


@pytest.mark.parametrize(("drift", "expected"), [(1e-3, True), (1e-6, False)])
def test_difference_between_outputs_is_relative_to_the_largest_logit(drift: float, expected: bool) -> None:
    class Drifting(Half):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return (1 + drift * self.calls) * super().forward(x)

    x, y = torch.tensor([[3.0], [-8.0]]) / 10, torch.tensor([1, 0])
    signs = look(Drifting(torch.full((1,), 1e4)), [(x, y)], epsilon=0.1, steps=10, black_box=nobody)
    assert drift / 2 < figure(signs, DIFFER) < 10 * drift
    assert (DIFFER in caught(signs)) == expected


def test_probabilities_are_known_by_sign_and_sum() -> None:
    x, y = torch.rand(8, 1), torch.zeros(8, dtype=torch.int64)
    p = torch.tensor([0.5, 0.3, 0.2])
    for shown, expected in [(p, 100.0), (p + 0.001, 0.0), (torch.tensor([1.5, 0.3, -0.8]), 0.0)]:
        masked = Answer(lambda x, shown=shown: shown + 0 * x)
        signs = look(masked, [(x, y)], epsilon=0.1, steps=1, black_box=nobody)
        assert figure(signs, SOFTMAX) == expected


def test_huge_epsilon_is_tried_from_the_sample_itself(plain: nn.Module, digits: Samples) -> None:
    quantised = Answer(partial(MASKED["quantised input"][0], plain))
    signs = look(quantised, digits, epsilon=0.2, steps=2, black_box=nobody)
    assert figure(signs, HUGE) == figure(signs, GRADIENT) > 90


def test_sign_says_its_figure_and_can_be_stored(plain: nn.Module, digits: Samples) -> None:
    quantised = Answer(partial(MASKED["quantised input"][0], plain))
    for sign in look(quantised, digits, epsilon=0.2, **QUICK):
        stored = asdict(sign)
        assert [type(value) for value in stored.values()] == [str, float, float, bool, int, str]
        assert sign.caught == (sign.figure > sign.limit)
        assert sign.samples == 100
        assert f"{abs(sign.figure):.1f}" in sign.sentence or sign.name == DIFFER
        assert "100 samples" in sign.sentence
        assert (": " in sign.sentence) == sign.caught


def test_summary_holds_what_was_caught_and_nothing_else() -> None:
    def sign(name: str, is_caught: bool) -> Sign:
        return Sign(name, 1.0, 0.5, is_caught, 20, f"What {name} says.")

    assert summary([sign("a", False), sign("b", False)]) == "No sign of gradient masking in 2 checks on 20 samples."
    both = summary([sign("a", True), sign("b", False), sign("c", True)])
    assert both == "2 of 3 signs of gradient masking: What a says. What c says."


@pytest.mark.slow
def test_same_seed_gives_the_same_signs_whatever_the_batches(plain: nn.Module, digits: Samples) -> None:
    x, y = (torch.cat(parts) for parts in zip(*digits, strict=True))
    first = look(plain, digits, epsilon=0.2, seed=1, **QUICK)
    assert first == look(plain, [(x, y)], epsilon=0.2, seed=1, **QUICK)


def test_verdict_leaves_no_trace() -> None:
    classifier = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3))
    x = torch.rand(12, 4)
    y = classifier.eval()(x).argmax(dim=1)
    classifier.train()
    with unchanged(classifier), torch.inference_mode():
        look(classifier, [(x, y)], epsilon=0.1, **QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("limit", [None, pytest.param(70, marks=pytest.mark.slow)])
def test_verdict_looks_at_its_own_epsilon50(limit: int | None, plain: nn.Module, digits: Samples) -> None:
    found = masking_verdict(plain, digits, bounds=(-1.0, 1.0), limit=limit, seed=2, **QUICK)
    x, y = (torch.cat(parts)[:limit] for parts in zip(*digits, strict=True))
    attack = partial(pgd, steps=QUICK["steps"], leave_when_fooled=True)
    radii = critical_radii(plain, [(x, y)], attack, bounds=(-1.0, 1.0), resolution=0.05, only="median", seed=2)
    assert found.epsilon == radii.epsilon50
    assert found.signs == look(plain, [(x, y)], epsilon=found.epsilon, seed=2, **QUICK)
    assert not caught(found.signs)


def test_verdict_where_there_is_no_graph_starts_from_the_black_box() -> None:
    def optimal(classifier: nn.Module, x: Tensor, y: Tensor, strength: Tensor, **_: object) -> Tensor:
        return x + (strength * 0.999999)[:, None] * (1 - 2 * y[:, None]) * half.slope.detach().sign()

    half, x, y = half_problem(81)
    known = median(known_radii(half, x, y, "Linf"))
    for network in (Detached(half, trainable=True), Detached(half, trainable=False)):
        found = masking_verdict(network, [(x, y)], bounds=(-1.0, 1.0), steps=3, black_box=optimal)
        assert known <= found.epsilon <= 1.06 * known
        assert caught(found.signs) >= {GRADIENT, HUGE, BLACK_BOX}


@pytest.mark.slow
def test_verdict_where_gradients_are_nan_is_a_verdict(plain: nn.Module, digits: Samples) -> None:
    masked = Answer(partial(MASKED["NaN gradient"][0], plain))
    found = masking_verdict(masked, digits, bounds=(-1.0, 1.0), **QUICK)
    assert found.epsilon < 0.3
    assert caught(found.signs) >= {GRADIENT, HUGE, BLACK_BOX}


def test_gradient_that_is_nan_at_some_samples_is_counted_there_and_followed_elsewhere() -> None:
    def partly(x: Tensor) -> Tensor:
        return half(x) + torch.where(x[:, :1] > 0, 0 * x[:, :1], 1).sqrt()

    half, x, y = half_problem(60)
    y = half(x).argmax(dim=1)
    signs = look(Answer(partly), [(x, y)], epsilon=1.0, norm="L2", steps=20, black_box=nobody)
    share = 100 * float((x[:, 0] > 0).double().mean())
    assert figure(signs, GRADIENT) == pytest.approx(share)
    assert figure(signs, HUGE) == 0


def test_verdict_where_nothing_is_correct_says_so() -> None:
    classifier, x, _ = half_problem(6)
    found = masking_verdict(classifier, [(x, 1 - classifier(x).argmax(dim=1))], bounds=(-1.0, 1.0))
    assert math.isnan(found.epsilon)
    assert summary(found.signs) == "No sample is classified correctly, so nothing can be said."


@pytest.mark.slow
def test_cost_is_modest(plain: nn.Module, digits: Samples) -> None:
    counted = CountPasses(plain)
    look(counted, digits, epsilon=0.2, steps=40, black_box=nobody)
    assert counted.backward_passes < 500 * 100
    assert counted.forward_passes < 550 * 100


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 0.0}, "`epsilon` should be above 0 and finite. Found 0.0"),
        ({"epsilon": float("inf")}, "`epsilon` should be above 0 and finite. Found inf"),
        ({"epsilon": float("nan")}, "`epsilon` should be above 0 and finite. Found nan"),
        ({"steps": 0}, "`steps` should be at least 1. Found 0"),
        ({"bounds": (0.0, 1.0)}, r"`x` should lie within `bounds` \(0.0, 1.0\)"),
    ],
)
def test_bad_options_are_refused(options: dict, message: str) -> None:
    classifier, x, y = half_problem(4)
    with pytest.raises(ValueError, match=message):
        look(classifier, [(x, y)], **({"epsilon": 0.1} | options))


def test_bad_samples_are_refused() -> None:
    classifier, x, _ = half_problem(4)
    y = classifier(x).argmax(dim=1)
    with pytest.raises(ValueError, match="`batches` should hold at least one sample"):
        look(classifier, [], epsilon=0.1)
    with pytest.raises(ValueError, match=r"`classifier` should be right about a sample\. Found 4"):
        look(classifier, [(x, 1 - y)], epsilon=0.1)
    with pytest.raises(ValueError, match=r"`y` should lie in \[0, 2\)"):
        look(classifier, [(x, y + 2)], epsilon=0.1)
    with pytest.raises(ValueError, match=r"`classifier\(x\)` should be finite"):
        look(Half(torch.full((6,), torch.nan)), [(x, y)], epsilon=0.1)

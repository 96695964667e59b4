import sys
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from eval.attacks import ATTACKS
from eval.attacks.adversarial_library import alma, ddn_advlib, fmn_advlib, pdgd, pdpgd, sigma_zero
from eval.attacks.verdict import distance
from eval.records import Model, Sitting
from eval.records.attack_radii import AttackRadii
from eval.records.measurements import standard_measurements
from eval.robustness.fixed_strength import robust_accuracy
from eval.robustness.radii import critical_radii, minimal_radii
from tests.eval.classifiers import Half, InMemory, Radial
from tests.properties import unchanged
from training import pgd
from training.attacks import DUAL, Distance
from training.balls import largest_distance
from training.passes import CountPasses
from training.strength import Strength

if find_spec("adv_lib") is None:
    pytest.skip("adv-lib is not installed", allow_module_level=True)

UNBOUNDED = (-torch.inf, torch.inf)
NORMALISED = (-0.4242, 2.8215)
"""The bounds of MNIST after the usual normalisation, which no float32 holds."""


def slow(*case: Any) -> Any:
    return pytest.param(*case, marks=pytest.mark.slow)


# Attack, distance, and by how much the median may end above the radius of a linear classifier: relative, and a last
# step. The last steps of FMN, DDN and ALMA change a radius by a thousandth, and FMN aims a thousandth beyond the
# boundary. PDGD and PDPGD end with steps of 0.001 in every coordinate, Adam's, and come no nearer than that.
KINDS = [
    (partial(fmn_advlib, steps=100), "Linf", 0.002, 0.0),
    (partial(fmn_advlib, steps=100), "L2", 0.002, 0.0),
    (partial(fmn_advlib, steps=100), "L1", 0.002, 0.0),
    (partial(ddn_advlib, steps=100), "L2", 0.002, 0.0),
    slow(pdgd, "L2", 0.0, 0.001),
    slow(pdpgd, "Linf", 0.0, 0.001),
    slow(pdpgd, "L2", 0.0, 0.001),
    slow(pdpgd, "L1", 0.0, 0.001),
    (partial(alma, steps=300), "L2", 0.002, 0.0),
]
BRIEF = [
    (partial(fmn_advlib, steps=5), "Linf"),
    (partial(fmn_advlib, steps=5), "L0"),
    (partial(ddn_advlib, steps=5), "L2"),
    (partial(pdgd, steps=5), "L2"),
    (partial(pdpgd, steps=5), "L1"),
    (partial(pdpgd, steps=5), "L0"),
    (partial(alma, steps=5), "L2"),
    (partial(sigma_zero, steps=5), "L0"),
]
each_briefly = pytest.mark.parametrize(("attack", "norm"), BRIEF)


class Shifted(Half):
    """A linear classifier whose boundary passes through the middle of [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - 0.5)


def linear(spread: float, bounds: tuple[float, float] = (0.0, 1.0)) -> tuple[Shifted, Tensor, Tensor, Tensor]:
    """A linear classifier, inputs around the middle of [0, 1], their classes, and their scores."""
    torch.manual_seed(0)
    classifier, x = Shifted(torch.randn(20)), 0.5 + spread * (torch.rand(12, 20) - 0.5)
    score = ((x - 0.5) @ classifier.slope).detach()
    return classifier, x, (score > 0).long(), score


@pytest.mark.parametrize(("attack", "norm", "relative", "step"), KINDS)
def test_reaches_the_radius_of_a_linear_classifier(attack: Any, norm: Distance, relative: float, step: float) -> None:
    classifier, x, y, score = linear(0.02 if norm == "L1" else 0.2)  # in L1 one coordinate has to have the room
    radii = score.abs().double() / torch.linalg.vector_norm(classifier.slope.detach().double(), ord=DUAL[norm])
    found = attack(classifier, x, y, norm=norm, bounds=(0.0, 1.0), generator=torch.Generator().manual_seed(0))
    assert (classifier(found).argmax(dim=1) != y).all()
    assert found.min() >= 0
    assert found.max() <= 1
    size = distance(found, x, norm)
    assert (size > radii * (1 - 1e-5)).all()
    assert (size - radii * (1 + relative)).median() <= largest_distance(step, 20, norm)


def fewest(classifier: Half, x: Tensor, score: Tensor) -> Tensor:
    """How many coordinates in [0, 1] have to change: the most effective ones, each to its bound."""
    falling = score.sign()[:, None] * classifier.slope.detach()
    gain = torch.where(falling > 0, x, 1 - x) * falling.abs()
    reached = gain.sort(dim=1, descending=True).values.cumsum(dim=1)
    return (reached < score.abs()[:, None]).sum(dim=1) + 1


@pytest.mark.parametrize(
    ("attack", "more"),
    [(partial(fmn_advlib, steps=100), 0), slow(sigma_zero, 0), slow(pdpgd, 2)],
)
def test_changes_as_few_coordinates_as_a_linear_classifier_allows(attack: Any, more: int) -> None:
    """Whole numbers: FMN and σ-zero find the fewest in the median, PDPGD, which descends in L⅔, up to two more."""
    classifier, x, y, score = linear(1.0)
    found = attack(classifier, x, y, norm="L0", bounds=(0.0, 1.0))
    changed, least = distance(found, x, "L0"), fewest(classifier, x, score)
    assert (classifier(found).argmax(dim=1) != y).all()
    assert (changed >= least).all()
    assert (changed - least).median() <= more


@pytest.mark.parametrize("attack", [partial(fmn_advlib, steps=30), partial(sigma_zero, steps=60)])
def test_what_l0_leaves_alone_is_untouched_in_any_bounds(attack: Any) -> None:
    low, high = NORMALISED
    x = low + (high - low) * torch.rand(6, 1, 8, 8)
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    y = classifier(x).argmax(dim=1)
    found = attack(classifier, x, y, norm="L0", bounds=NORMALISED)
    changed = (found != x).flatten(1).sum(dim=1)
    assert torch.equal(changed.double(), distance(found, x, "L0"))
    assert (classifier(found).argmax(dim=1) != y).all()
    assert (changed >= 1).all()
    assert (changed <= 6).all()


@pytest.mark.slow
@pytest.mark.parametrize(("attack", "norm"), [(fmn_advlib, "L2"), (ddn_advlib, "L2"), (alma, "L2"), (pdgd, "L2")])
def test_spheres_are_vectors_without_bounds(attack: Any, norm: Distance) -> None:
    x = nn.functional.normalize(torch.randn(4, 500)) * torch.tensor([[1.0], [1.3], [1.0], [1.3]])
    y = torch.tensor([0, 1, 0, 1])
    found = attack(Radial(), x, y, norm=norm, bounds=UNBOUNDED)
    assert (Radial()(found).argmax(dim=1) != y).all()
    torch.testing.assert_close(distance(found, x, "L2"), torch.full((4,), 0.15).double(), rtol=0.1, atol=0.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ATTACKS if ATTACKS[name].attack.__module__.endswith("library")])
def test_radii_of_a_network_that_nobody_here_made(name: str) -> None:
    """Its weights are random, and its logits of the order of 1e-10."""
    from torchvision.models import mobilenet_v3_small

    torch.manual_seed(0)
    network = mobilenet_v3_small(weights=None, num_classes=10)
    x = torch.rand(4, 3, 32, 32)
    y = network.eval()(x).argmax(dim=1)
    y[0] = (y[0] + 1) % 10
    for norm in ATTACKS[name].norms:
        steps = 200 if name == "pdpgd" else 60  # it weighs the distance high at first
        attack: Any = partial(ATTACKS[name].attack, steps=steps)
        radii = minimal_radii(network, [(x[:3], y[:3]), (x[3:], y[3:])], attack, norm=norm, bounds=(0.0, 1.0))
        assert radii.rejected == 0
        assert radii.upper[0] == 0
        assert (radii.upper[1:] > 0).all()
        assert radii.upper.isfinite().all()
        assert radii.backward_passes == steps * 3


@each_briefly
def test_passes_are_those_that_are_documented(attack: Any, norm: Distance) -> None:
    x, counted = 0.2 * torch.rand(4, 6) + 0.4, CountPasses(Shifted(torch.ones(6)))
    y = counted.classifier(x).argmax(dim=1)
    attack(counted, x, y, norm=norm, bounds=(0.0, 1.0))
    assert counted.backward_passes == 5 * len(x)
    assert counted.forward_passes == 6 * len(x)


@each_briefly
def test_leaves_no_trace(attack: Any, norm: Distance, capfd: pytest.CaptureFixture, as_in_production: None) -> None:
    classifier = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.ReLU(), nn.Linear(8, 3))
    x, y = torch.rand(4, 5), torch.arange(4) % 3
    clean = x.clone()
    with unchanged(classifier), torch.inference_mode():
        attack(classifier, x, y, norm=norm, bounds=(-1.0, 1.0))
    assert torch.equal(x, clean)
    assert capfd.readouterr() == ("", "")
    assert find_spec("visdom") is not None or "visdom" not in sys.modules


@each_briefly
def test_what_cannot_be_fooled_or_is_wrong_already_is_returned(attack: Any, norm: Distance) -> None:
    class Certain(Half):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([0 * (x @ self.slope), 1 + 0 * (x @ self.slope)], dim=1)

    x, y = torch.rand(4, 5), torch.tensor([1, 0, 1, 0])
    found = attack(Certain(torch.ones(5)), x, y, norm=norm, bounds=(-1.0, 1.0))
    assert torch.equal(found, x)
    assert found.data_ptr() != x.data_ptr()


def test_a_seed_repeats_what_is_random() -> None:
    """DDN steps at random where the gradient is zero, as of a network that saturates."""

    class Saturated(Half):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x - 0.5).clamp(-1e-9, 1e-9)

    x, y = torch.full((3, 6), 0.6), torch.ones(3, dtype=torch.int64)
    found = [
        ddn_advlib(
            Saturated(torch.ones(6)), x, y, steps=20, bounds=(0.0, 1.0), generator=torch.Generator().manual_seed(seed)
        )
        for seed in (1, 1, 2)
    ]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize(
    ("attack", "options", "message"),
    [
        (fmn_advlib, {"norm": "L7"}, "`norm` should be one of Linf, L2, L1, L0. Found 'L7'"),
        (ddn_advlib, {"norm": "L1"}, "`norm` should be one of L2. Found 'L1'"),
        (pdgd, {"norm": "Linf"}, "`norm` should be one of L2. Found 'Linf'"),
        (pdgd, {"steps": 1}, "`steps` should be at least 2. Found 1"),
        (pdpgd, {"steps": 1}, "`steps` should be at least 2. Found 1"),
        (alma, {"norm": "L0"}, "`norm` should be one of L2. Found 'L0'"),
        (alma, {"learning_rate": 0.0}, "`learning_rate` should be above 0 and finite. Found 0.0"),
        (fmn_advlib, {"first_step": -1.0}, "`first_step` should be above 0 and finite. Found -1.0"),
        (fmn_advlib, {"first_step": float("inf")}, "`first_step` should be above 0 and finite. Found inf"),
        (alma, {"learning_rate": float("inf")}, "`learning_rate` should be above 0 and finite. Found inf"),
        (sigma_zero, {"norm": "L2"}, "`norm` should be one of L0. Found 'L2'"),
        (sigma_zero, {"steps": 0}, "`steps` should be at least 1. Found 0"),
    ],
)
def test_bad_input_is_refused(attack: Any, options: dict[str, Any], message: str, as_in_production: None) -> None:
    arguments = {"x": torch.rand(4, 6), "y": torch.zeros(4, dtype=torch.int64), "bounds": (-1.0, 1.0)} | options
    with pytest.raises(ValueError, match=message):
        attack(Half(torch.ones(6)), **arguments)


def test_l0_is_a_distance_and_has_no_ball(as_in_production: None) -> None:
    classifier, x, y, _ = linear(1.0)
    short: Any = partial(fmn_advlib, steps=100)
    radii = minimal_radii(classifier, [(x, y)], short, norm="L0", bounds=(0.0, 1.0))
    assert torch.equal(radii.upper, radii.upper.round())
    assert radii.epsilon_max == 20
    at: Any = {"norm": "L0", "bounds": (0.0, 1.0)}
    changed = int(radii.upper.sort().values[5])
    robust = robust_accuracy(classifier, [(x, y)], short, changed, minimal=True, **at)
    assert robust.accuracy == pytest.approx(float((radii.upper > changed).double().mean()))
    with pytest.raises(ValueError, match=r"`norm` should be one of Linf, L2, L1, None. Found 'L0'"):
        critical_radii(classifier, [(x, y)], pgd, **at)
    with pytest.raises(ValueError, match=r"`norm` should be one of Linf, L2, L1. Found 'L0'"):
        robust_accuracy(classifier, [(x, y)], pgd, 3.0, **at)


def test_epsilons_of_l0_are_numbers_of_coordinates() -> None:
    _, x, y, _ = linear(1.0)
    data = InMemory(2 * x - 1, y)
    with pytest.raises(ValueError, match=r"should lie in \[0, 20\], the diameter of given in L0. Found 21"):
        AttackRadii("sigma_zero", "L0", epsilons=(Strength(21),)).check(data)


def test_an_attack_that_knows_l0_alone_is_measured_in_it() -> None:
    wanted = standard_measurements(["pgd", "sigma_zero"], epsilons={"Linf": ["0.1"], "L0": ["2"]}, masking=False)
    radii = [one for one in wanted if isinstance(one, AttackRadii)]
    assert [(one.attack, one.norm, [*map(float, one.epsilons)]) for one in radii] == [
        ("pgd", "Linf", [0.1]),
        ("pgd", "L2", []),
        ("sigma_zero", "L0", [2.0]),
    ]
    _, x, y, _ = linear(1.0)
    data, classifier = InMemory(2 * x - 1, y), _Narrowed()
    record, outcomes = Sitting.of(classifier, data, Model("given", "B")).take(
        replace(radii[2], options={"steps": 100})
    )
    assert record.quantity.name == "epsilon50_sigma_zero_l0"
    assert record.value == pytest.approx(float(np.median(outcomes.radius)))
    assert (outcomes.radius == outcomes.radius.round()).all()
    assert record.details["accuracy_at"]["2"] == pytest.approx(float((outcomes.radius > 2).mean()))


class _Narrowed(nn.Module):
    """The linear classifier for inputs in [−1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow = linear(1.0)[0]

    def forward(self, x: Tensor) -> Tensor:
        return self.narrow((x + 1) / 2)

import random
import sys
from argparse import Namespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.autoattack import ours, theirs
from eval.attacks.autoattack import VERSIONS, _Battery, auto_attack
from eval.attacks.radii import Radius
from tests.eval.classifiers import Half, Radial
from tests.properties import assert_within, unchanged
from training import build_network
from training.attacks import DUAL, ORDER, Norm
from training.data import Digits
from training.passes import CountPasses

pytest.importorskip("pyautoattack")

NORMS: tuple[Norm, ...] = ("Linf", "L2", "L1")
UNBOUNDED = (-torch.inf, torch.inf)

# Every part with one norm; the other pairs are slow.
PAIRS = [
    pytest.param(part, norm, marks=[] if (number - place) % 3 == 0 else pytest.mark.slow)
    for number, part in enumerate(VERSIONS["plus"])
    for place, norm in enumerate(NORMS)
]


def numpy_state() -> list[int]:
    return np.random.get_state()[1].tolist()  # noqa: NPY002


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear_problem(
    classes: int, norm: Norm, count: int = 6, size: int = 25
) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """A linear classifier, inputs close to its boundaries, their classes, and the distances to those."""
    classifier = nn.Linear(size, classes)
    classifier.bias.data = -0.5 * classifier.weight.detach().sum(dim=1)
    x = 0.45 + 0.1 * torch.rand(count, size)
    logits = classifier(x).detach()
    y = logits.argmax(dim=1)
    slope = (classifier.weight[y].unsqueeze(1) - classifier.weight).detach()
    margin = logits.gather(1, y.unsqueeze(1)) - logits
    radii = margin / torch.linalg.vector_norm(slope, ord=DUAL[norm], dim=2).clamp(min=1e-20)
    return classifier, x, y, radii.scatter(1, y.unsqueeze(1), torch.inf).amin(dim=1)


def tanh_problem(count: int) -> tuple[nn.Module, Tensor, Tensor]:
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.Tanh(), nn.Linear(20, 10))
    x = torch.rand(count, 1, 8, 8).round(decimals=1)
    return classifier, x, classifier(x).argmax(dim=1)


@pytest.mark.parametrize(
    "bounds", [(-1.0, 1.0), *(pytest.param(bounds, marks=pytest.mark.slow) for bounds in ((0.0, 1.0), UNBOUNDED))]
)
@pytest.mark.parametrize("classes", [2, pytest.param(3, marks=pytest.mark.slow), 10])
@pytest.mark.parametrize("norm", NORMS)
def test_fools_just_above_the_radius_of_a_linear_classifier(
    norm: Norm, classes: int, bounds: tuple[float, float]
) -> None:
    classifier, x, y, radii = linear_problem(classes, norm, count=3 if norm == "L1" else 6)
    options: dict[str, Any] = {"norm": norm, "bounds": bounds, "steps": 20, "queries": 5, "generator": seeded()}
    above = auto_attack(classifier, x, y, 1.03 * radii, **options)
    assert (classifier(above).argmax(dim=1) != y).all()
    assert_within(above, x, 1.03 * radii, ORDER[norm], bounds)
    assert torch.equal(auto_attack(classifier, x, y, 0.97 * radii, **(options | {"steps": 3})), x)


@pytest.mark.parametrize(("part", "norm"), PAIRS)
@pytest.mark.parametrize("classes", [2, pytest.param(3, marks=pytest.mark.slow), 4])
def test_every_part_fools_by_itself(part: str, norm: Norm, classes: int) -> None:
    classifier, x, y, radii = linear_problem(classes, norm)
    strength = (8 if part == "square" else 3) * float(radii.max())
    result = auto_attack(
        classifier,
        x,
        y,
        strength,
        norm=norm,
        attacks=[part],
        steps=30,
        queries=300,
        bounds=UNBOUNDED,
        generator=seeded(),
    )
    assert (classifier(result).argmax(dim=1) != y).all()
    assert_within(result, x, torch.full((len(x),), strength), ORDER[norm], UNBOUNDED)


@pytest.mark.parametrize(("part", "norm"), [pair for pair in PAIRS if pair.values[0] != "fab"])
def test_results_are_those_of_the_library(part: str, norm: Norm) -> None:
    from pyautoattack import AutoAttack

    classifier, x, y = tanh_problem(8)
    strength = {"Linf": 0.04, "L2": 0.25, "L1": 1.5}[norm]
    strength = {"Linf": 0.2, "L2": 1.2, "L1": 4.0}[norm] if part == "square" else strength
    seed = int(torch.randint(2**31, (), generator=seeded()))
    with torch.random.fork_rng():
        theirs = AutoAttack(
            classifier.requires_grad_(False), attacks=[part], eps=strength, norm=norm, seed=seed, version="custom"
        )
        theirs.apgd.n_restarts, theirs.fab.n_iter, theirs.square.n_queries = 1, 20, 60
        if norm == "L1":
            theirs.apgd.use_largereps = theirs.apgd_targeted.use_largereps = True
            theirs.apgd_targeted.n_target_classes = theirs.fab.n_target_classes = 5
        reference, found = theirs.run_standard_evaluation(x, y)
    options: dict[str, Any] = {"norm": norm, "steps": 20 if part == "fab-t" else 100, "queries": 60}
    ours = auto_attack(classifier, x, y, strength, attacks=[part], bounds=(0.0, 1.0), generator=seeded(), **options)
    fooled = found != y
    assert 0 < fooled.sum() < len(y)
    assert torch.allclose(ours[fooled], reference[fooled], rtol=0, atol=1e-6)
    if part != "fab-t":  # whose points beyond ε they drop, and we bring back to ε
        assert torch.equal(ours[~fooled], x[~fooled])


@pytest.mark.parametrize(("part", "norm"), PAIRS)
def test_strengths_per_sample_are_each_their_own(part: str, norm: Norm) -> None:
    """In one batch: as many calls of the classifier as for a single strength."""
    classifier, x, y, radii = linear_problem(4, norm, count=10)
    above = 8.0 if part == "square" else 3.0
    strength = torch.where(torch.arange(10) % 2 == 0, above, 0.95) * radii
    options: dict[str, Any] = {"norm": norm, "attacks": [part], "steps": 30, "queries": 300, "bounds": UNBOUNDED}
    calls: list[int] = []
    classifier.register_forward_pre_hook(lambda module, given: calls.append(len(given[0])))
    result = auto_attack(classifier, x, y, strength, generator=seeded(), **options)
    mixed, found = len(calls), classifier(result).argmax(dim=1) != y
    assert not found[1::2].any()
    assert found[::2].sum() >= (3 if part == "square" else 5)
    assert_within(result, x, strength, ORDER[norm], UNBOUNDED)
    calls.clear()
    auto_attack(classifier, x, y, 0.95 * float(radii.min()), generator=seeded(), **options)
    assert mixed <= len(calls) + 1


def test_random_starts_of_fab_are_each_of_their_own_radius() -> None:
    """Also of a sample that rounding to [0, 1] has made misclassified, from which FAB does not start."""
    classifier, x, y, radii = linear_problem(4, "L2", count=10)
    strength = torch.where(torch.arange(10) % 2 == 0, 1.05, 0.95) * radii
    battery = _Battery(classifier, 4, "L2", steps=20, queries=1, restarts=2, draws=1)
    wrong = torch.cat([y[:3], (y[3:4] + 1) % 4, y[4:]])
    points = battery._fab(x, wrong, strength, random_start=True)
    assert torch.equal(points[3], x[3])
    others = torch.arange(10) != 3
    assert (classifier(points)[others].argmax(dim=1) != y[others]).all()
    size = torch.linalg.vector_norm(points - x, dim=1)
    torch.testing.assert_close(size[others], radii[others], rtol=0.03, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("norm", "strengths"), [("Linf", (0.2, 0.35)), pytest.param("L2", (1.0, 1.7), marks=pytest.mark.slow)]
)
def test_square_of_several_strengths_is_as_strong_as_the_library(norm: Norm, strengths: tuple[float, float]) -> None:
    """Within a point of robust accuracy, the mean of three seeds, on a trained network."""
    from pyautoattack.square import SquareAttack

    classifier, x, y = trained_on_digits()
    low, high = strengths
    strength = torch.where(torch.arange(len(x)) % 2 == 0, low, high)
    ours, theirs = 0.0, 0.0
    for seed in range(3):
        points = auto_attack(
            classifier,
            x,
            y,
            strength,
            norm=norm,
            attacks=["square"],
            queries=100,
            generator=seeded(seed),
            bounds=(-1.0, 1.0),
        )
        ours += float((classifier(points).argmax(dim=1) == y).double().mean()) / 3
        for epsilon in strengths:
            chosen = strength == epsilon
            attack = SquareAttack(
                lambda u: classifier(2 * u - 1),
                norm=norm,
                n_queries=100,
                eps=epsilon / 2,
                seed=seed,
                resc_schedule=False,
            )
            with torch.random.fork_rng():
                points = 2 * attack.perturb((x[chosen] + 1) / 2, y[chosen]) - 1
            theirs += float((classifier(points).argmax(dim=1) == y[chosen]).double().sum()) / len(x) / 3
    assert 0.1 < theirs < 0.8
    assert abs(ours - theirs) < 0.01


def trained_on_digits() -> tuple[nn.Module, Tensor, Tensor]:
    """A small network that reads digits, and the test digits."""
    data = Digits(batch_size=64)
    classifier = build_network("small_cnn", shape=data.shape, num_classes=10, bounds=(-1.0, 1.0))
    optimizer = torch.optim.Adam(classifier.parameters(), lr=3e-3)
    for _ in range(4):
        for x, y, *_ in data.batches("train"):
            optimizer.zero_grad()
            nn.functional.cross_entropy(classifier(x), y).backward()
            optimizer.step()
    whole = [torch.cat(parts) for parts in zip(*data.batches("test"), strict=True)]
    return classifier.eval(), whole[0], whole[1]


def test_radius_is_reckoned_with_as_one_number() -> None:
    radius = Radius.of(torch.tensor([0.5, 2.0, 1.0]), axes=3)
    points, sizes = torch.rand(3, 4, 5), torch.rand(3)
    assert torch.equal(3.0 * radius * points, torch.tensor([1.5, 6.0, 3.0]).reshape(3, 1, 1) * points)
    assert torch.equal(points - radius, points - torch.tensor([0.5, 2.0, 1.0]).reshape(3, 1, 1))
    assert torch.equal(2 * radius - sizes, torch.tensor([1.0, 4.0, 2.0]) - sizes)
    assert torch.equal(radius * torch.ones(5, 1, 1, 1), torch.full((5, 1, 1, 1), 2.0))
    steps = torch.full((3, 1, 1), 9.0)
    steps.clamp_(radius / 10, radius)
    assert steps.flatten().tolist() == [0.5, 2.0, 1.0]
    steps[torch.tensor([True, False, True])] = 0.5 * radius
    assert steps.flatten().tolist() == [0.25, 2.0, 0.5]
    assert isinstance(radius + 0.0, Radius)
    assert all(type(part) is Tensor for part in (radius * points, points - radius, radius - sizes, steps))


def test_two_classes_do_not_saturate() -> None:
    steep, x, y, radii = linear_problem(2, "Linf")
    steep.weight.data *= 1e7
    steep.bias.data *= 1e7
    options: dict[str, Any] = {"steps": 20, "bounds": UNBOUNDED, "generator": seeded()}
    assert torch.equal(auto_attack(steep, x, y, 1.05 * radii, attacks=["apgd-ce"], **options), x)
    for part in ("apgd-dlr", "apgd-t"):
        result = auto_attack(steep, x, y, 1.05 * radii, attacks=[part], **options)
        assert (steep(result).argmax(dim=1) != y).all()


def test_spheres_are_vectors_without_bounds() -> None:
    x = torch.nn.functional.normalize(torch.randn(4, 500)) * torch.tensor([[1.0], [1.3], [1.0], [1.3]])
    y = torch.tensor([0, 1, 0, 1])
    options: dict[str, Any] = {"norm": "L2", "bounds": UNBOUNDED, "steps": 20, "queries": 5, "generator": seeded()}
    fooled = auto_attack(Radial(), x, y, 0.152, **options)
    assert (Radial()(fooled).argmax(dim=1) != y).all()
    assert_within(fooled, x, torch.full((4,), 0.152), 2, UNBOUNDED)
    assert torch.equal(auto_attack(Radial(), x, y, 0.148, **options), x)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("strength", [1e-4, 0.03, 5.0])
def test_results_keep_to_ball_and_bounds(norm: Norm, strength: float) -> None:
    classifier, x, y = tanh_problem(count=6)
    fragile = nn.Sequential(classifier, nn.Linear(10, 3, bias=False))
    fragile[1].weight.data *= 1e-3
    x = 2 * x - 1
    y = fragile(x).topk(2, dim=1).indices[:, 0]
    scale = strength * {"Linf": 1.0, "L2": 5.0, "L1": 30.0}[norm]
    result = auto_attack(fragile, x, y, scale, norm=norm, steps=8, queries=8, generator=seeded(), bounds=(-1.0, 1.0))
    assert_within(result, x, torch.full((6,), scale), ORDER[norm], (-1.0, 1.0))
    assert not torch.equal(result, x) or strength < 1


def test_versions_take_the_passes_they_promise() -> None:
    class Deaf(Half):
        """Never fooled, and never quite without a gradient."""

        def forward(self, x: Tensor) -> Tensor:
            score = 1e-3 * torch.tanh(x.flatten(1) @ self.slope)
            return torch.stack([score + 9, score, -score], dim=1)

    x, y = torch.rand(2, 25), torch.zeros(2, dtype=torch.int64)
    steps, passes = 3, {}
    for version in VERSIONS:
        counted = CountPasses(Deaf(torch.randn(25)))
        auto_attack(counted, x, y, 0.1, version=version, steps=steps, queries=2, bounds=(0.0, 1.0))
        passes[version] = counted.backward_passes / len(x)
    apgd = steps + 1
    assert passes["standard"] == (1 + 2) * apgd + 2 * steps
    assert passes["plus"] == (5 + 5 + 2) * apgd + 5 * 3 * steps + 2 * steps
    assert passes["rand"] == 2 * 20 * apgd


def test_costs_no_more_passes_than_the_librarys_own_evaluation_and_leaves_as_few_standing() -> None:
    """At one strength, without a search: what `run_standard_evaluation` is asked for."""
    classifier, x, y = tanh_problem(16)
    options = Namespace(epsilon=0.06, steps=10, queries=20, seed=0, device="cpu")
    passes, robust = [], []
    for way in (ours, theirs):
        counted = CountPasses(classifier)
        points = way(counted, x, y, options)
        passes.append((counted.forward_passes, counted.backward_passes))
        robust.append(int((classifier(points).argmax(dim=1) == y).sum()))
    assert 0 < robust[1] < len(y)
    assert robust[0] <= robust[1] + 1
    assert all(mine <= 1.05 * other for mine, other in zip(*passes, strict=True)), passes


@pytest.mark.parametrize(
    ("version", "norm"),
    [
        pytest.param(version, norm, marks=[] if i == j else pytest.mark.slow)
        for i, version in enumerate(VERSIONS)
        for j, norm in enumerate(NORMS)
    ],
)
def test_leaves_no_trace(
    version: str,
    norm: Norm,
    capfd: pytest.CaptureFixture,
    caplog: pytest.LogCaptureFixture,
    as_in_production: None,  # beartype draws from the random state of Python
) -> None:
    classifier = nn.Sequential(nn.Linear(25, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.ReLU(), nn.Linear(8, 4))
    x, y = torch.rand(4, 25), torch.arange(4)
    clean = x.clone()
    others = (random.getstate(), numpy_state(), sys.gettrace())
    with unchanged(classifier), torch.inference_mode():
        auto_attack(classifier, x, y, 0.1, norm=norm, version=version, steps=2, queries=3, bounds=(-1.0, 1.0))
    assert others == (random.getstate(), numpy_state(), sys.gettrace())
    assert torch.equal(x, clean)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


@pytest.mark.parametrize("norm", NORMS)
def test_same_generator_same_result(norm: Norm) -> None:
    classifier, x, y = tanh_problem(count=6)
    strength = {"Linf": 0.5, "L2": 4.0, "L1": 20.0}[norm]
    first, again, other = (
        auto_attack(
            classifier,
            x,
            y,
            strength,
            norm=norm,
            attacks=["square"],
            queries=20,
            generator=seeded(seed),
            bounds=(-1.0, 1.0),
        )
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_random_classifier_is_attacked_on_average() -> None:
    class Noisy(Half):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x + 0.01 * torch.randn_like(x))

    classifier, x = Noisy(torch.randn(25)), 0.4 + 0.2 * torch.rand(6, 25)
    y = (x @ classifier.slope > 0).long()
    result = auto_attack(classifier, x, y, 0.3, version="rand", steps=5, bounds=(0.0, 1.0), generator=seeded())
    assert (classifier(result).argmax(dim=1) != y).all()


def test_what_is_wrong_already_or_has_no_strength_is_returned() -> None:
    classifier, x, y, radii = linear_problem(3, "Linf")
    y[:2] = (y[:2] + 1) % 3
    strength = 2 * radii
    strength[2] = 0
    result = auto_attack(classifier, x, y, strength, steps=10, queries=5, bounds=(0.0, 1.0))
    assert torch.equal((result != x).any(dim=1), torch.tensor([False] * 3 + [True] * 3))


def test_no_samples_are_no_work() -> None:
    assert auto_attack(
        Half(torch.ones(3)), torch.rand(0, 3), torch.zeros(0, dtype=torch.int64), 0.1, bounds=(-1.0, 1.0)
    ).shape == (0, 3)


def test_double_precision_is_kept() -> None:
    classifier, x, y, radii = linear_problem(3, "L2")
    result = auto_attack(
        classifier.double(), x.double(), y, 1.05 * radii.double(), norm="L2", attacks=["apgd-t"], bounds=(0.0, 1.0)
    )
    assert result.dtype == torch.float64
    assert (classifier(result).argmax(dim=1) != y).all()
    assert_within(result, x.double(), 1.05 * radii.double(), 2, (0.0, 1.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": -0.1}, "`strength` should be at least 0"),
        ({"strength": float("inf")}, "`strength` should be finite"),
        ({"norm": "L0"}, "`norm` should be one of Linf, L2, L1. Found 'L0'"),
        ({"version": "fast"}, "`version` should be one of standard, plus, rand. Found 'fast'"),
        ({"attacks": ["pgd"]}, "`attacks` should be one of .*. Found 'pgd'"),
        ({"steps": 0}, "`steps` should be at least 1. Found 0"),
        ({"queries": 0}, "`queries` should be at least 1. Found 0"),
        ({"bounds": (0.5, 0.6)}, "`x` should lie within `bounds`"),
        ({"y": torch.tensor([0, 2, 0, 0])}, r"`y` should lie in \[0, 2\)"),
        ({"x": torch.full((4, 25), torch.nan)}, "`x` should be finite"),
        ({"x": torch.rand(4, 1, 14, 14), "norm": "L2"}, "leave out 'square' in L2 for images of 14×14"),
        ({"x": torch.rand(4, 7), "norm": "L1"}, "leave out 'square' in L1 for images of 1×7"),
    ],
)
def test_bad_input_is_refused(options: dict[str, Any], message: str, as_in_production: None) -> None:
    arguments = {"x": torch.rand(4, 25), "y": torch.zeros(4, dtype=torch.int64), "strength": 0.1}
    arguments = {"bounds": (-1.0, 1.0)} | arguments | options
    classifier = Half(torch.ones(arguments["x"][0].numel()))
    with pytest.raises(ValueError, match=message):
        auto_attack(classifier, **arguments)


def test_classifiers_that_cannot_be_attacked_are_refused() -> None:
    class Detached(Half):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.detach())

    x, y = torch.rand(4, 25), torch.ones(4, dtype=torch.int64)
    with pytest.raises(ValueError, match="should be differentiable"):
        auto_attack(Detached(torch.ones(25)), x, y, 0.1, bounds=(-1.0, 1.0))
    with pytest.raises(ValueError, match=r"`classifier\(x\)` should be finite"):
        auto_attack(Half(torch.full((25,), torch.nan)), x, y, 0.1, bounds=(-1.0, 1.0))
    black_box = auto_attack(
        Detached(torch.ones(25)), x - 0.5, y, 0.9, attacks=["square"], generator=seeded(), bounds=(-1.0, 1.0)
    )
    assert not torch.equal(black_box, x - 0.5)


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    with pytest.raises(ValueError, match=r"pip install 'alphadx\[autoattack\]'"):
        auto_attack(Half(torch.ones(3)), torch.rand(2, 3), torch.zeros(2, dtype=torch.int64), 0.1, bounds=(-1.0, 1.0))

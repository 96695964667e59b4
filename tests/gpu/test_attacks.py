"""Every attack finds on a GPU what it finds on the CPU."""

from functools import partial
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor

from eval.attacks.adversarial_library import alma, ddn_advlib, fmn_advlib, pdgd, pdpgd, sigma_zero
from eval.attacks.autoattack import auto_attack
from eval.attacks.minimum_norm import carlini_wagner, ddn, deepfool, fmn
from eval.attacks.protocols import Attack, MinimumNormAttack
from eval.attacks.spatial import spatial_attack
from eval.attacks.spsa import spsa
from eval.attacks.square import square_attack
from eval.attacks.verdict import distance, predictions, verdict
from eval.robustness.guided import aimed_pgd
from tests.eval.classifiers import half_problem, known_radii
from tests.gpu.problems import BOUNDS, CLASSES, on_cpu, problem, there
from training.attacks import fgsm, mi_fgsm, pgd

pytestmark = pytest.mark.gpu

EXACT = {"rtol": 0.0, "atol": 1e-7}
"""What float64 leaves of ten steps."""


def needing(library: str, *values: Any, id: str) -> Any:
    absent = find_spec(library) is None
    return pytest.param(*values, id=id, marks=pytest.mark.skipif(absent, reason=f"{library} is not installed"))


BUDGETED: dict[str, tuple[Attack, str | None, float]] = {
    "pgd": (partial(pgd, steps=10), "Linf", 0.1),
    "pgd without random start": (partial(pgd, steps=10, random_start=False), "Linf", 0.1),
    "pgd L2": (partial(pgd, steps=10), "L2", 0.6),
    "pgd L1": (partial(pgd, steps=10), "L1", 4.0),
    "pgd leaving": (partial(pgd, steps=10, leave_when_fooled=True), "Linf", 0.1),
    "pgd restarts": (partial(pgd, steps=5, restarts=3, leave_when_fooled=True), "L2", 0.6),
    "pgd margin": (partial(pgd, steps=10, loss="margin"), "Linf", 0.1),
    "pgd dlr": (partial(pgd, steps=10, loss="dlr"), "Linf", 0.1),
    "pgd kl": (partial(pgd, steps=10, loss="kl"), "Linf", 0.1),
    "pgd momentum": (partial(pgd, steps=10, momentum=0.5), "Linf", 0.1),
    "pgd strides": (partial(pgd, steps=10, step_size=0.02), "Linf", 0.1),
    "fgsm": (fgsm, "Linf", 0.1),
    "fgsm L2": (fgsm, "L2", 0.6),
    "mi_fgsm": (partial(mi_fgsm, steps=5), "Linf", 0.1),
    "square": (partial(square_attack, queries=60), "Linf", 0.3),
    "square L2": (partial(square_attack, queries=60), "L2", 1.5),
    "spsa": (partial(spsa, steps=5, samples=8), "Linf", 0.2),
    "sta": (partial(spatial_attack, iterations=5), None, 1e4),
    "sta leaving": (partial(spatial_attack, iterations=5, leave_when_fooled=True), None, 1e4),
}


@pytest.mark.parametrize("name", BUDGETED)
def test_attack_ends_where_it_does_on_the_cpu(cuda: torch.device, name: str) -> None:
    attack, norm, strength = BUDGETED[name]
    classifier, x, y = problem()
    per_sample = torch.linspace(0.5, 1.5, len(x), dtype=x.dtype) * strength
    options: dict[str, Any] = {"norm": norm, "bounds": BOUNDS}
    here = attack(classifier, x, y, per_sample, generator=on_cpu(), **options)
    given = x.to(cuda), y.to(cuda), per_sample.to(cuda)
    found = attack(there(classifier, cuda), *given, generator=on_cpu(), **options)
    assert found.device.type == cuda.type
    assert not torch.equal(here, x)
    torch.testing.assert_close(found.cpu(), here, **EXACT)


def test_an_attack_on_a_classifier_of_one_batch_ends_where_it_does_on_the_cpu(cuda: torch.device) -> None:
    """Of fewer samples than a bucket holds: the batch must not be filled up."""
    classifier, x, y = (part[:5] if isinstance(part, Tensor) else part for part in problem())
    at, found = torch.full((5,), 0.3, dtype=x.dtype), (y + 1) % CLASSES

    def aimed(device: torch.device) -> Tensor:
        given = [part.to(device) for part in (x, y, at)]
        options: dict[str, Any] = {"steps": 16, "bounds": BOUNDS, "generator": on_cpu(), "found": found.to(device)}
        return aimed_pgd(there(classifier, device), *given, **options).cpu()

    torch.testing.assert_close(aimed(cuda), aimed(torch.device("cpu")), **EXACT)


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
def test_random_starts_of_a_gpu_lie_in_the_ball_and_fill_it(cuda: torch.device, norm: str) -> None:
    """Its generator draws other numbers, whose sizes are distributed as the CPU's: their means lie within 3 %."""
    classifier, x, y = problem(400)
    sizes = []
    for device in (torch.device("cpu"), cuda):
        generator = torch.Generator(device).manual_seed(0)
        options: dict[str, Any] = {"norm": norm, "bounds": (-torch.inf, torch.inf), "generator": generator}
        start = pgd(there(classifier, device), x.to(device), y.to(device), 0.3, steps=0, **options).cpu()
        sizes.append(distance(start, x, norm))
        assert sizes[-1].max() <= 0.3 * (1 + 1e-6)
    torch.testing.assert_close(sizes[1].mean(), sizes[0].mean(), rtol=0.03, atol=0)


@pytest.mark.parametrize(
    ("parts", "norm"),
    [
        needing("pyautoattack", [part], norm, id=f"{part} {norm}")
        for part in ("apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t")
        for norm in ("Linf", "L2")
    ],
)
def test_autoattack_fools_whom_it_must_on_both(cuda: torch.device, parts: list[str], norm: str) -> None:
    """Its starts are random, so the samples are such that the radius of each is known: half of it, and 1.5 times."""
    classifier, x, y = half_problem(8)
    radius = known_radii(classifier, x, y, norm)
    strength = radius * torch.where(torch.arange(len(x)) % 2 == 0, 0.5, 1.5)
    for device in (torch.device("cpu"), cuda):
        classifier.to(device)
        shown = x.to(device), y.to(device), strength.float().to(device)
        options: dict[str, Any] = {"norm": norm, "bounds": (-torch.inf, torch.inf), "generator": on_cpu()}
        found = auto_attack(classifier, *shown, attacks=parts, steps=20, **options)
        wrong = (predictions(classifier, found) != shown[1]).cpu()
        assert torch.equal(wrong, (strength > radius) | (radius == 0))


@pytest.mark.skipif(find_spec("pyautoattack") is None, reason="pyautoattack is not installed")
def test_square_of_autoattack_fools_as_many(cuda: torch.device) -> None:
    """By random moves: of 80 samples the shares agree to 15 points."""
    classifier, x, y = problem(80)
    shares = []
    for device in (torch.device("cpu"), cuda):
        moved, shown, true = there(classifier, device), x.to(device), y.to(device)
        options: dict[str, Any] = {"norm": "Linf", "bounds": BOUNDS, "generator": on_cpu()}
        found = auto_attack(moved, shown, true, 0.1, attacks=["square"], queries=60, **options)
        shares.append(float((predictions(moved, found) != true).double().mean()))
    assert 0.05 < shares[0] < 1
    assert abs(shares[1] - shares[0]) < 0.15


MINIMAL: dict[str, tuple[MinimumNormAttack, str]] = {
    "cw": (partial(carlini_wagner, steps=20, search_steps=3), "L2"),
    "ddn": (partial(ddn, steps=20), "L2"),
    "fmn Linf": (partial(fmn, steps=20), "Linf"),
    "fmn L2": (partial(fmn, steps=20), "L2"),
    "fmn L1": (partial(fmn, steps=20), "L1"),
    "deepfool Linf": (partial(deepfool, steps=20), "Linf"),
    "deepfool L2": (partial(deepfool, steps=20), "L2"),
    "fmn_advlib L0": (partial(fmn_advlib, steps=40), "L0"),
    "ddn_advlib": (partial(ddn_advlib, steps=20), "L2"),
    "pdgd": (partial(pdgd, steps=40), "L2"),
    "pdpgd L1": (partial(pdpgd, steps=40), "L1"),
    "alma": (partial(alma, steps=40), "L2"),
    "sigma_zero": (partial(sigma_zero, steps=40), "L0"),
}
OF_ADV_LIB = ("fmn_advlib", "ddn_advlib", "pdgd", "pdpgd", "alma", "sigma_zero")


@pytest.mark.parametrize(
    "name", [needing("adv_lib" if name.startswith(OF_ADV_LIB) else "foolbox", name, id=name) for name in MINIMAL]
)
def test_minimum_norm_attack_comes_as_near_as_on_the_cpu(cuda: torch.device, name: str) -> None:
    """These libraries work in float32, where a search may branch: the median agrees to 1 %, nine in ten to 5 %."""
    attack, norm = MINIMAL[name]
    classifier, x, y = problem(20)
    sizes = []
    for device in (torch.device("cpu"), cuda):
        moved, at = there(classifier, device), x.to(device)
        found = attack(moved, at, y.to(device), norm=norm, bounds=BOUNDS, generator=on_cpu())
        sizes.append(distance(found, at, norm).cpu())
    torch.testing.assert_close(sizes[1].median(), sizes[0].median(), rtol=0.01, atol=1e-6)
    assert (sizes[1] - sizes[0]).abs().le(0.05 * sizes[0] + 1e-6).double().mean() >= 0.9


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
def test_verdict_is_the_same(cuda: torch.device, norm: str) -> None:
    classifier, x, y = problem()
    adversarial: Tensor = (x + 0.1 * torch.randn(x.shape, dtype=x.dtype, generator=on_cpu())).clamp(-1.02, 1.02)
    strength = distance(adversarial, x, norm) * torch.linspace(0.9, 1.1, len(x), dtype=x.dtype)
    here = verdict(classifier, x, y, adversarial, strength, norm=norm, bounds=BOUNDS)
    moved = [tensor.to(cuda) for tensor in (x, y, adversarial, strength)]
    found = verdict(there(classifier, cuda), *moved, norm=norm, bounds=BOUNDS)
    assert torch.equal(found.fooled.cpu(), here.fooled)
    assert torch.equal(found.rejected.cpu(), here.rejected)
    assert here.rejected.any()
    assert not here.rejected.all()
    torch.testing.assert_close(found.distance.cpu(), here.distance, rtol=1e-12, atol=0)

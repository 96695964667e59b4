"""What is measured on a GPU is what is measured on the CPU: alignment, radii, masking, records and whole studies."""

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from alignment import alignment_penalty, alpha_dx, alpha_x, cosine_similarity, linearised_radii
from alignment.alphas import alpha_dx_other_classes
from alignment.closest_class import closest_class
from alignment.gradients import input_gradient
from alignment.metrics import AlphaDx, AlphaX
from eval.attacks.minimum_norm import ddn
from eval.attacks.spatial import spatial_attack
from eval.attacks.square import square_attack
from eval.records import EstimatorQuality, Model, Results, Sitting, standard_measurements
from eval.records.device import chosen_device, device_name
from eval.robustness.masking import masking_signs, masking_verdict
from eval.robustness.predicted import predicted_radii
from eval.robustness.radii import critical_radii, minimal_radii
from eval.studies import load_study, run_study
from generators import NearestExample
from tests.gpu.problems import BOUNDS, images, network, problem, there
from training import pgd
from training.data import Digits
from training.networks import build_network

pytestmark = pytest.mark.gpu


def residual_of(x: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """Any residual that depends on all three."""
    return (target - y).to(x)[:, None, None, None] * x.flip(-1)


def penalty_gradients(classifier: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Of the classifier's parameters, in one vector."""
    alignment_penalty(classifier, x.clone().requires_grad_(), y, residual_of).backward()
    return torch.cat([weight.grad.flatten() for weight in classifier.parameters() if weight.grad is not None])


def metric(kind: Any) -> Any:
    def call(classifier: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        mean = kind().to(x.device)
        for part in (slice(0, 5), slice(5, None)):
            mean.update(classifier, x[part], y[part])
        return mean.compute()

    return call


MEASURES: dict[str, Any] = {
    "alpha_dx": lambda f, x, y: alpha_dx(f, x, y, residual_of),
    "alpha_dx of the nearest two": lambda f, x, y: alpha_dx(f, x, y, residual_of, candidates=2),
    "alpha_dx of other classes": lambda f, x, y: alpha_dx_other_classes(f, x, y, residual_of),
    "alpha_x": lambda f, x, y: alpha_x(f, x),
    "AlphaDx": metric(partial(AlphaDx, residual_of)),
    "AlphaX": metric(AlphaX),
    "linearised radii": lambda f, x, y: linearised_radii(f, x, y),
    "closest class": lambda f, x, y: closest_class(f, x, y),
    "input gradient": lambda f, x, y: input_gradient(f, x, y),
    "penalty's gradients": penalty_gradients,
    "cosine": lambda f, x, y: cosine_similarity(x, x.roll(1, 0)).value,
    "predicted radii Linf": lambda f, x, y: predicted_radii(f, x, y, "Linf", BOUNDS),
    "predicted radii L2": lambda f, x, y: predicted_radii(f, x, y, "L2", BOUNDS),
}


@pytest.mark.parametrize("name", MEASURES)
def test_measure_is_that_of_the_cpu(cuda: torch.device, name: str) -> None:
    classifier, x, y = problem()
    here = MEASURES[name](there(classifier, torch.device("cpu")), x, y)
    found = MEASURES[name](there(classifier, cuda), x.to(cuda), y.to(cuda))
    torch.testing.assert_close(found.detach().cpu(), here.detach(), rtol=1e-8, atol=1e-12)


ATTACKS: dict[str, tuple[Any, str | None]] = {
    "pgd Linf": (partial(pgd, steps=10, random_start=False, leave_when_fooled=True), "Linf"),
    "pgd L2": (partial(pgd, steps=10, random_start=False, leave_when_fooled=True), "L2"),
    "pgd L1": (partial(pgd, steps=10, random_start=False, leave_when_fooled=True), "L1"),
    "square": (partial(square_attack, queries=15), "Linf"),
    "sta": (partial(spatial_attack, iterations=5, leave_when_fooled=True), None),
}


@pytest.mark.parametrize("only", ["all", "median"])
@pytest.mark.parametrize("name", ATTACKS)
def test_radii_are_those_of_the_cpu_within_the_resolution(cuda: torch.device, name: str, only: Any) -> None:
    attack, norm = ATTACKS[name]
    classifier, x, y = problem(16)
    found = []
    for device in (torch.device("cpu"), cuda):
        batches = [(x[:9].to(device), y[:9].to(device)), (x[9:].to(device), y[9:].to(device))]
        options: dict[str, Any] = {"norm": norm, "bounds": BOUNDS, "resolution": 0.02, "only": only, "pilot": 8}
        options |= {} if norm else {"epsilon_max": 1e4}
        found.append(critical_radii(there(classifier, device), batches, attack, batch_size=8, **options))
    here, gpu = found
    assert gpu.upper.device.type == gpu.lower.device.type == "cpu"
    assert gpu.epsilon50 == pytest.approx(here.epsilon50, rel=0.02)
    assert (gpu.rejected, gpu.epsilon_max) == (here.rejected, here.epsilon_max)
    assert torch.equal(gpu.upper == 0, here.upper == 0)
    if only == "all" and name != "square":  # whose draws are the device's own, and few
        torch.testing.assert_close(gpu.upper, here.upper, rtol=0.02, atol=0)


@pytest.mark.skipif(find_spec("foolbox") is None, reason="foolbox is not installed")
def test_minimal_radii_are_those_of_the_cpu(cuda: torch.device) -> None:
    """To 1 %: the attack works in float32."""
    classifier, x, y = problem(40)
    here, found = (
        minimal_radii(
            there(classifier, device), [(x.to(device), y.to(device))], partial(ddn, steps=20), bounds=BOUNDS
        ).epsilon50
        for device in (torch.device("cpu"), cuda)
    )
    assert found == pytest.approx(here, rel=0.01)


def test_samples_may_lie_on_the_cpu_and_the_classifier_on_the_gpu(cuda: torch.device) -> None:
    attack = partial(pgd, steps=5, random_start=False)
    classifier, x, y = problem(20)
    options: dict[str, Any] = {"bounds": BOUNDS, "resolution": 0.02}
    here = critical_radii(classifier, [(x, y)], attack, **options)
    found = critical_radii(there(classifier, cuda), [(x, y)], attack, **options)
    torch.testing.assert_close(found.upper, here.upper, rtol=0.02, atol=0)


def test_signs_of_masking_are_those_of_the_cpu(cuda: torch.device) -> None:
    """All are caught or not alike; their figures, percentages with random starts, agree to 5 points."""
    classifier, x, y = problem(60)
    here, found = (
        masking_signs(
            there(classifier, device),
            [(x.to(device), y.to(device))],
            epsilon=0.1,
            bounds=BOUNDS,
            steps=5,
            black_box=partial(square_attack, queries=50),
        )
        for device in (torch.device("cpu"), cuda)
    )
    assert [(sign.name, sign.caught) for sign in found] == [(sign.name, sign.caught) for sign in here]
    for there_, sign in zip(found, here, strict=True):
        assert there_.figure == pytest.approx(sign.figure, abs=5 if sign.name != "outputs differ" else 1e-4)


def test_masking_is_looked_for_at_the_same_strength(cuda: torch.device) -> None:
    """To 5 % with 200 samples, since random starts are the device's own."""
    classifier, x, y = problem(200)
    here, found = (
        masking_verdict(
            there(classifier, device),
            [(x.to(device), y.to(device))],
            bounds=BOUNDS,
            steps=5,
            black_box=partial(square_attack, queries=50),
        )
        for device in (torch.device("cpu"), cuda)
    )
    assert found.epsilon == pytest.approx(here.epsilon, rel=0.05)


def digits_network() -> nn.Module:
    return build_network("small_cnn", shape=(1, 8, 8), num_classes=10, width=4)


def test_records_say_the_same_and_name_the_card(cuda: torch.device, tmp_path: Path) -> None:
    """Accuracy, alignment and ε50% of digits in float32, each to 2 %."""
    wanted = standard_measurements(norms=("Linf", "L2"), steps=5, resolution=0.02, masking=False)
    classifier, data = digits_network(), Digits()
    taken = {}
    for device in (torch.device("cpu"), cuda):
        sitting = Sitting.of(there(classifier, device), data, Model(data.name, "B"), limit=60)
        home = Results(tmp_path / str(len(taken))).home(sitting.model, sitting.subject.key)
        done = sitting.take_all(wanted, home)
        assert done.failures == []
        assert {record.provenance["device"] for record in done.records} == {device_name(device)}
        taken[len(taken)] = {record.quantity.name: record for record in done.records}
    assert taken[1].keys() == taken[0].keys()
    for name, record in taken[0].items():
        assert taken[1][name].key == record.key
        assert taken[1][name].value == pytest.approx(record.value, rel=0.02, abs=1e-4)


def test_quality_of_an_estimator_is_that_of_the_cpu(cuda: torch.device, tmp_path: Path) -> None:
    """Of so many samples that each number is known: an energy distance takes ten of a class."""
    data, judge = Digits(), digits_network()
    whole = data.split("train").__getitems__(range(200))
    estimator = NearestExample(whole.x, whole.y)
    taken = []
    for device in (torch.device("cpu"), cuda):
        quality = EstimatorQuality(estimator, data, Model(data.name, "nearest"), judge, limit=200, device=device)
        records = quality.measured(Results(tmp_path / str(len(taken))).home(quality.model, "a"))
        assert {record.provenance["device"] for record in records} == {device_name(device)}
        taken.append({record.quantity.kind: record.value for record in records})
        judge.cpu()
    assert taken[1] == pytest.approx(taken[0], rel=1e-4)


AT = {"class_path": "training.AT", "init_args": {"epsilon": 0.1, "steps": 2}}
STUDY: dict[str, Any] = {
    "title": "two cells",
    "base": {
        "trainer": {"max_epochs": 1},
        "model": {"network": "mlp", "network_options": {"hidden": [16]}},
        "selection": {"steps": 2, "resolution": 0.2},
        "checkpoint": {"monitor": "val_accuracy"},
        "data": {"class_path": "training.data.Digits", "init_args": {"batch_size": 128}},
    },
    "measure": {"steps": 3, "resolution": 0.05, "limit": 40, "masking": False},
    "experiments": {
        "digits": {
            "recipes": {
                "B": {},
                "P": {
                    "model": {"objective": {"class_path": "training.AT", "init_args": {"epsilon": 0.1, "steps": 2}}}
                },
            }
        },
        "digits, estimators": {"estimators": {"nearest": {"residual": "nearest"}}},
    },
}


def test_study_works_on_the_device_that_it_is_told(cuda: torch.device, tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(STUDY))
    study = load_study(str(tmp_path / "two.yaml"))
    quantities = []
    for device in ("cpu", cuda.type):
        folder = tmp_path / f"on-{len(quantities)}"
        done = run_study(study, folder, jobs=1, device=device)
        assert done.failures == []
        records = [*done.results.load()]
        assert {record.provenance["device"] for record in records} == {device_name(device)}
        quantities.append({(record.model.recipe, record.quantity.name) for record in records})
    assert quantities[0] == quantities[1]
    assert {recipe for recipe, _ in quantities[1]} == {"B", "P", "nearest"}


def test_auto_is_the_gpu(cuda: torch.device) -> None:
    if cuda.type == "cuda":
        assert chosen_device("auto") == torch.device("cuda")
    assert chosen_device(cuda.type).type == cuda.type


def test_inputs_that_lie_elsewhere_are_named(cuda: torch.device) -> None:
    if cuda.type == "cpu":
        pytest.skip("there is no other device")
    with pytest.raises(ValueError, match="cuda"):
        pgd(there(network(), cuda), images(), torch.zeros(12, dtype=torch.int64), 0.1, bounds=BOUNDS)

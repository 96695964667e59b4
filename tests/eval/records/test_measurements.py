import math
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from eval.attacks import ATTACKS, SuiteAttack
from eval.records import Model, Results, Samples, Sitting
from eval.records.measurements import (
    Accuracy,
    Alignment,
    AttackRadii,
    ImageAlignment,
    Masking,
    Measurement,
    check_wanted,
    estimator_of,
    standard_measurements,
)
from eval.records.subject import chosen_samples
from tests.alignment.classifiers import hand_made
from tests.eval.classifiers import InMemory, Radial, half_problem, known_radii
from training.attacks import pgd
from training.data import DataSet, Digits, HDF5Images, Spheres
from training.passes import CountPasses
from training.strength import Strength

MODEL = Model("given", "B")
NOWHERE = InMemory(torch.zeros(1, 4), torch.zeros(1, dtype=torch.long))


def take(measurement: Measurement, classifier: Callable, data: DataSet, **chosen: int) -> tuple:
    return Sitting.of(classifier, data, MODEL, **chosen).take(measurement)


def test_most_robust_classifier_of_spheres_is_measured_as_the_theory_says() -> None:
    """α = 1 and ρ = ½‖Δx‖ = 0.15: paper 1, after Theorem 2."""
    data = Spheres(dimensions=20)
    found = {}
    for measurement in standard_measurements(norms=("L2",), resolution=0.002, masking=False):
        record, per_sample = take(measurement, Radial(), data, limit=300)
        assert record.samples == len(per_sample) == 300
        found[record.quantity.name] = record.value
    assert found["accuracy"] == 1
    assert found["alpha_dx"] == pytest.approx(1, abs=1e-5)
    assert found["alpha_x"] == pytest.approx(1, abs=1e-5)
    assert found["epsilon50_pgd_l2"] == pytest.approx(0.15, rel=0.004)


def test_radii_per_sample_stand_beside_their_samples() -> None:
    classifier, x, y = half_problem(40)
    data = InMemory(x, y)
    measurement = AttackRadii("pgd", "Linf", {"steps": 60}, 0.01, None)
    record, per_sample = take(measurement, classifier, data)
    assert list(per_sample["index"]) == list(range(40))
    assert list(per_sample.label) == y.tolist()
    assert torch.equal(torch.tensor(per_sample.radius == 0), known_radii(classifier, x, y, "Linf") == 0)
    assert record.details["epsilon_max"] == 2.0
    assert record.quantity.norm == "Linf"


def test_samples_without_direction_are_left_out_and_counted() -> None:
    classifier, x, y = half_problem(10)
    x[:3] = 0
    record, per_sample = take(ImageAlignment(), classifier, InMemory(x, y))
    assert record.invalid == 3
    assert record.value == pytest.approx(per_sample.cosine[3:].mean(), rel=1e-6)
    assert per_sample.valid.tolist() == [False] * 3 + [True] * 7


def test_no_direction_anywhere_is_nan_and_said() -> None:
    classifier, x, y = half_problem(4)
    record, _ = take(ImageAlignment(), classifier, InMemory(0 * x, y))
    assert record.value != record.value
    assert record.invalid == 4


def test_accuracy_is_the_share_of_correct_predictions() -> None:
    classifier, x, y = half_problem(50)
    record, per_sample = take(Accuracy(), classifier, InMemory(x, y))
    assert record.value == float((classifier(x).argmax(dim=1) == y).double().mean())
    assert (per_sample.predicted == classifier(x).argmax(dim=1).numpy()).all()
    assert (record.forward_passes, record.backward_passes) == (50, 0)


def test_limit_takes_the_first_samples() -> None:
    classifier, x, y = half_problem(50)
    data = InMemory(x, y)
    data.eval_batch_size = 16
    _, per_sample = take(Accuracy(), classifier, data, limit=20)
    assert list(per_sample["index"]) == list(range(20))


def test_nearest_examples_stand_in_where_the_residual_is_not_known() -> None:
    classifier, x, y = half_problem(30)
    y = classifier(x).argmax(dim=1)
    record, _ = take(Alignment(residual="nearest"), classifier, InMemory(x, y))
    assert record.value > 0
    with pytest.raises(ValueError, match="'exact' is not known for given"):
        take(Alignment(residual="exact"), classifier, InMemory(x, y))


def test_step_size_may_be_a_fraction_and_grows_with_the_root_of_the_dimension_in_l2(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strides = []
    monkeypatch.setattr(
        "eval.records.attack_radii.critical_radii", lambda *args, **_: strides.append(args[2].keywords)
    )
    for measurement in standard_measurements(step_size="8/255")[1:3]:
        with pytest.raises(AttributeError):
            measurement(CountPasses(Radial()), Spheres(dimensions=16), [])
    assert [stride["step_size"] for stride in strides] == [8 / 255, 4 * 8 / 255]


def test_tau_of_two_classes_is_another_number_than_before_and_that_of_more_is_not() -> None:
    """Its unit changed for two classes; records of more classes keep their keys."""
    before = AttackRadii("sta", None).quantity(Digits())
    assert "binary_margin" not in before.settings
    two = AttackRadii("sta", None).quantity(NOWHERE)
    assert two.settings["binary_margin"] == 2.0
    assert {name: value for name, value in two.settings.items() if name != "binary_margin"} == before.settings
    assert two != before
    assert two != AttackRadii("sta", None, {"binary_margin": 1.0}).quantity(NOWHERE)
    assert AttackRadii("sta", None, {"binary_margin": 1.0}).quantity(Digits()) == before


def test_attacks_are_measured_in_every_norm_they_know() -> None:
    found = standard_measurements(["pgd", "square", "cw", "sta"], ["Linf", "L2", "L1"], masking=False)
    assert [m.quantity(NOWHERE).name for m in found[1:-2]] == [
        "epsilon50_pgd_linf", "epsilon50_pgd_l2", "epsilon50_pgd_l1", "epsilon50_square_linf", "epsilon50_square_l2",
        "epsilon50_cw_l2", "tau50_sta",
    ]  # fmt: skip
    fewer = standard_measurements(["square", "pgd"], attack_options={"square": {"norms": ["L2"]}}, masking=False)
    assert [m.quantity(NOWHERE).name for m in fewer[1:-2]] == [
        "epsilon50_square_l2", "epsilon50_pgd_linf", "epsilon50_pgd_l2",
    ]  # fmt: skip
    only = standard_measurements(["cw"], ["Linf"], masking=False)
    assert [m.quantity(NOWHERE).name for m in only[1:-2]] == ["epsilon50_cw_l2"]


@pytest.mark.parametrize(
    ("attack", "options"), [("pgd", {}), ("square", {"queries": 200}), ("pgd20", {}), ("fgsm", {})]
)
def test_every_attack_ends_in_the_known_radii_of_a_linear_classifier(attack: str, options: dict) -> None:
    classifier, x, y = half_problem(40)
    measurement = AttackRadii(attack, "Linf", options, 0.01, 0.02, (Strength(0.05), Strength("1/20")))
    record, per_sample = take(measurement, classifier, InMemory(x, y))
    known = known_radii(classifier, x, y, "Linf")
    assert record.value == pytest.approx(float(known.sort().values[19:21].mean()), rel=0.05)
    assert (torch.tensor(per_sample.radius) >= known * (1 - 1e-6)).all()
    share = float((known > 0.05).double().mean())
    assert record.details["accuracy_at"] == {
        "0.05": pytest.approx(share, abs=0.03),
        "1/20": pytest.approx(share, abs=0.03),
    }


def test_a_minimum_norm_attack_ends_in_radii_too() -> None:
    pytest.importorskip("foolbox")
    classifier, x, y = half_problem(30)
    record, per_sample = take(AttackRadii("ddn", "L2"), classifier, InMemory(x, y))
    known = known_radii(classifier, x, y, "L2")
    torch.testing.assert_close(torch.tensor(per_sample.radius), known, rtol=0.03, atol=1e-6)
    assert (per_sample.radius == per_sample.failed_at).all()
    assert record.value == pytest.approx(float(known.sort().values[14:16].mean()), rel=0.03)


def test_unknown_attacks_and_options_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`attacks` should be one of .*'PGD'. Did you mean 'pgd'"):
        standard_measurements(["PGD"])
    with pytest.raises(ValueError, match=r"`attack_options` should be one of pgd\. Found 'square'"):
        standard_measurements(["pgd"], attack_options={"square": {"queries": 10}})
    with pytest.raises(ValueError, match=r"`norm of cw` should be one of L2\. Found 'Linf'"):
        AttackRadii("cw", "Linf")


def test_steps_of_pgd_go_as_far_in_every_norm() -> None:
    """η·n^(1/p): with 4 features a step of 0.1 in L∞ is one of 0.2 in L2."""
    seen = {}

    def spy(classifier, x, y, strength, *, norm, step_size, **rest):
        seen[norm] = step_size
        return x

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ATTACKS, "pgd", SuiteAttack("PGD", spy))
        classifier, x, y = half_problem(4, features=4)
        for norm in ("Linf", "L2", "L1"):
            take(AttackRadii("pgd", norm, {"step_size": Strength(0.1)}), classifier, InMemory(x, y))
    assert seen == {"Linf": pytest.approx(0.1), "L2": pytest.approx(0.2), "L1": pytest.approx(0.4)}


def test_masking_is_measured_with_its_signs() -> None:
    classifier, x, y = half_problem(60)
    record, per_sample = take(Masking(steps=5, limit=50), classifier, InMemory(x, y))
    assert record.value == 0
    assert record.samples == len(per_sample) == 50
    assert len(record.details["signs"]) == 8
    assert record.details["summary"].startswith("No sign of gradient masking in 8 checks on 50 samples")


def test_a_classifier_that_is_always_wrong_has_no_verdict_on_masking() -> None:
    classifier, x, _ = half_problem(20)
    wrong = 1 - classifier(x).argmax(dim=1)
    record, _ = take(Masking(), classifier, InMemory(x, wrong))
    assert math.isnan(record.value)
    assert "nothing can be said" in record.details["summary"]


def test_an_attack_that_is_slow_is_asked_for_less() -> None:
    """The median is closed, the accuracy wanted is known, and the curve is known where all samples were attacked."""
    seen = []

    def slow(classifier, x, y, strength, **options):
        seen.append(len(strength))
        return pgd(classifier, x, y, strength, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ATTACKS, "pgd", SuiteAttack("PGD", slow, first_guess=pgd, mixed_strengths=False))
        classifier, x, y = half_problem(40)
        record, per_sample = take(AttackRadii("pgd", epsilons=(Strength(0.03),)), classifier, InMemory(x, y))
    known = known_radii(classifier, x, y, "Linf")
    assert sum(seen) < 4 * len(x)
    assert record.value == pytest.approx(float(known.sort().values[19:21].mean()), rel=0.05)
    assert record.details["accuracy_at"]["0.03"] == pytest.approx(float((known > 0.03).double().mean()), abs=0.03)
    assert per_sample.radius.nunique() > 4


def test_a_quantity_knows_options_that_nobody_named_and_the_very_estimator() -> None:
    data = Digits()
    plain, shorter = (AttackRadii("pgd", options=options).quantity(data) for options in ({}, {"steps": 10}))
    assert (plain.settings["steps"], shorter.settings["steps"]) == (40, 10)
    assert plain != shorter
    assert plain == AttackRadii("pgd", options={"steps": 40}).quantity(data)
    halves = [Alignment(name).quantity(data) for name in ("nearest-even", "nearest-odd")]
    assert halves[0] != halves[1]
    assert halves[0].settings["estimator"]["digest"] == data.residual("nearest-even").digest


def test_the_signed_closest_class_is_another_quantity_where_it_can_be_another_class() -> None:
    data = Digits()
    usual, signed = (Alignment("nearest", signed=signed).quantity(data).settings for signed in (False, True))
    assert signed == usual | {"signed": True}
    assert "signed" not in usual
    assert ImageAlignment("closest_to_true", signed=True).quantity(data).settings == {
        "of": "closest_to_true",
        "signed": True,
    }
    for same in (ImageAlignment("closest_to_predicted", signed=True), ImageAlignment("predicted", 3, True)):
        assert same.quantity(data) == ImageAlignment(same.of).quantity(data)
    assert ImageAlignment("closest_to_true", 3).quantity(data).settings["candidates"] == 3
    x, y = half_problem(4)[1:]
    of_two = (Alignment("nearest", signed=signed).quantity(InMemory(x, y)) for signed in (False, True))
    assert len({*of_two}) == 1


def test_the_signed_closest_class_is_measured() -> None:
    """The hand-made point of four classes has the α_x of ∇ℓ 8/17 by the absolute radius, 1/√2 by the signed one."""
    classifier, x = hand_made()
    data = InMemory(x, torch.tensor([0]))
    data.classes = ("a", "b", "c", "d")
    for signed, expected in ((False, 8 / 17), (True, 0.5**0.5)):
        record, _ = take(ImageAlignment("closest_to_true", signed=signed), classifier, data)
        assert record.value == pytest.approx(expected, abs=1e-12)


def test_every_measurement_takes_the_signed_form() -> None:
    *_, alignment, _ = standard_measurements(signed=True, masking=False)
    assert alignment == Alignment(signed=True)


def test_an_estimator_takes_its_options_where_it_is_named() -> None:
    data = Digits()
    assert estimator_of(data, {"residual": "nearest"}) is estimator_of(data, {"residual": "nearest"})
    with pytest.raises(ValueError, match="`residual`"):
        estimator_of(data, {"residual": "nearest", "option": {}})


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"epsilons": ["3"]}, r"`epsilons` should lie in \[0, 2\], the diameter of given in Linf. Found 3"),
        ({"residual": "nowhere"}, "`residual` should be one of auto, exact, nearest"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is(wanted: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_wanted(standard_measurements(**wanted), NOWHERE)


def test_records_say_how_sure_they_are() -> None:
    classifier, x, y = half_problem(60)
    data = InMemory(x, y)
    for measurement in (Accuracy(), AttackRadii(), Alignment("nearest"), ImageAlignment()):
        record, _ = take(measurement, classifier, data)
        low, high = record.interval
        assert low < record.value < high


def test_sanity_of_classifier_and_data_stands_beside_the_accuracy() -> None:
    classifier, x, y = half_problem(30)
    record, _ = take(Accuracy(), classifier, InMemory(x, y))
    assert record.details["classes"] == record.details["classes_seen"] == 2
    assert record.details["inputs"] == [pytest.approx(float(x.min())), pytest.approx(float(x.max()))]
    assert record.details["probabilities"] == 0


def test_samples_that_differ_in_one_pixel_are_other_samples() -> None:
    classifier, x, y = half_problem(10)
    subjects = [Sitting.of(classifier, InMemory(x, y), MODEL).subject]
    moved = x.clone()
    moved[3, 2] += 1e-6
    subjects.append(Sitting.of(classifier, InMemory(moved, y), MODEL).subject)
    subjects.append(Sitting.of(classifier, InMemory(x, 1 - y), MODEL).subject)
    subjects.append(Sitting.of(classifier, InMemory(x, y), MODEL, limit=9).subject)
    with torch.no_grad():
        classifier.slope[0] += 1e-6
    subjects.append(Sitting.of(classifier, InMemory(x, y), MODEL).subject)
    assert len({subject.key for subject in subjects}) == 5


def test_data_sets_remember_what_they_were_made_with() -> None:
    assert Spheres(dimensions=7).arguments["dimensions"] == 7
    assert Spheres(dimensions=7).arguments["train_size"] == 10_000
    with pytest.raises(TypeError, match="unexpected keyword"):
        Spheres(dimension=7)


def test_one_measurement_that_fails_leaves_the_others(tmp_path: Path) -> None:
    """And what is recorded is not measured again."""
    classifier, x, y = half_problem(20)
    sitting = Sitting.of(classifier, InMemory(x, y), MODEL)
    wanted = [Accuracy(), AttackRadii("pgd", "L2", {"steps": -1}), ImageAlignment()]
    folder = Results(tmp_path).home(MODEL, sitting.subject.key)
    taken = sitting.take_all(wanted, folder)
    assert [record.quantity.kind for record in taken.records] == ["accuracy", "alpha_x"]
    assert len(taken.failures) == 1
    assert taken.failures[0].startswith("given, B: ε50% PGD L2 failed: `steps` should be at least")

    asked = []
    again = sitting.take_all(wanted, folder, asked.append)
    assert [record.key for record in again.records] == [record.key for record in taken.records]
    assert asked == [wanted[1]]


@pytest.mark.parametrize("limit", [0, -5])
def test_a_limit_below_one_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match=f"`limit` should be at least 1. Found {limit}"):
        Sitting.of(Radial(), Spheres(dimensions=3), MODEL, limit=limit)


def test_a_classifier_of_another_number_of_classes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one logit for each of the 10 classes of digits\. Found 2"):
        Sitting.of(Radial(), Digits(), MODEL)


def test_an_attack_that_does_not_know_the_data_is_refused_before_anything_is_measured() -> None:
    with pytest.raises(ValueError, match=r"STA cannot run: .*should be images"):
        check_wanted(standard_measurements(["pgd", "sta"]), Spheres(dimensions=20))


def test_samples_whose_files_were_moved_are_the_same_samples(tmp_path: Path) -> None:
    def found(folder: Path, shade: int) -> Samples:
        folder.mkdir()
        with h5py.File(folder / "a.h5", "w") as file:
            file["images"] = np.full((4, 1, 2, 2), shade, dtype=np.uint8)
            file["labels"] = np.arange(4) % 2
        files = [str(folder / "a.h5")]
        return chosen_samples(HDF5Images(train=files, test=files))[1]

    here, moved, other = (found(tmp_path / name, shade) for name, shade in (("a", 0), ("b", 0), ("c", 1)))
    assert here == moved != other


class Narrow(torch.nn.Module):
    """A classifier that runs out of memory with more than eight inputs."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return Radial()(x)


@pytest.mark.parametrize("measurement", [Accuracy(), Alignment(), ImageAlignment()])
def test_batches_that_do_not_fit_are_measured_in_halves(measurement: Measurement) -> None:
    data = Spheres(dimensions=5)
    batches = chosen_samples(data, limit=30)[0]
    expected = measurement(CountPasses(Radial()), data, batches)
    with pytest.warns(UserWarning, match="8 samples are shown at once"):
        found = measurement(CountPasses(Narrow()), data, batches)
    assert found.value == pytest.approx(expected.value, rel=1e-6)
    assert found.invalid == expected.invalid
    assert len(found.per_sample) == 30
    assert found.per_sample["index"].tolist() == expected.per_sample["index"].tolist()

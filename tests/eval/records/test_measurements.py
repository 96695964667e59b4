import math

import pytest
import torch

from eval.attacks import ATTACKS, SuiteAttack
from eval.records.measurements import (
    Accuracy,
    Alignment,
    AttackRadii,
    ImageAlignment,
    Masking,
    standard_measurements,
    take,
)
from eval.records.results import Model
from eval.robustness.passes import CountPasses
from tests.eval.classifiers import InMemory, Radial, half_problem, known_radii
from training.attacks import pgd
from training.data import Spheres
from training.strength import Strength

MODEL = Model("given", "B")


def test_most_robust_classifier_of_spheres_is_measured_as_the_theory_says() -> None:
    """α = 1 and ρ = ½‖Δx‖ = 0.15: paper 1, after Theorem 2."""
    data = Spheres(dimensions=20)
    found = {}
    for measurement in standard_measurements(norms=("L2",), resolution=0.002, masking=False):
        record, per_sample = take(measurement, Radial(), data, MODEL, limit=300)
        assert record.samples == len(per_sample) == 300
        found[record.measurement] = record.value
    assert found["accuracy"] == 1
    assert found["alpha_dx"] == pytest.approx(1, abs=1e-5)
    assert found["alpha_x"] == pytest.approx(1, abs=1e-5)
    assert found["epsilon50_pgd_l2"] == pytest.approx(0.15, rel=0.004)


def test_radii_per_sample_stand_beside_their_samples() -> None:
    classifier, x, y = half_problem(40)
    data = InMemory(x, y)
    measurement = AttackRadii("pgd", "Linf", {"steps": 60}, 0.01, None)
    record, per_sample = take(measurement, classifier, data, MODEL)
    assert list(per_sample["index"]) == list(range(40))
    assert list(per_sample.label) == y.tolist()
    assert torch.equal(torch.tensor(per_sample.radius == 0), known_radii(classifier, x, y, "Linf") == 0)
    assert record.settings["epsilon_max"] == 2.0
    assert record.settings["norm"] == "Linf"


def test_samples_without_direction_are_left_out_and_counted() -> None:
    classifier, x, y = half_problem(10)
    x[:3] = 0
    record, per_sample = take(ImageAlignment(), classifier, InMemory(x, y), MODEL)
    assert record.invalid == 3
    assert record.value == pytest.approx(per_sample.cosine[3:].mean(), rel=1e-6)
    assert per_sample.valid.tolist() == [False] * 3 + [True] * 7


def test_no_direction_anywhere_is_nan_and_said() -> None:
    classifier, x, y = half_problem(4)
    record, _ = take(ImageAlignment(), classifier, InMemory(0 * x, y), MODEL)
    assert record.value != record.value
    assert record.invalid == 4


def test_accuracy_is_the_share_of_correct_predictions() -> None:
    classifier, x, y = half_problem(50)
    record, per_sample = take(Accuracy(), classifier, InMemory(x, y), MODEL)
    assert record.value == float((classifier(x).argmax(dim=1) == y).double().mean())
    assert (per_sample.predicted == classifier(x).argmax(dim=1).numpy()).all()
    assert (record.forward_passes, record.backward_passes) == (50, 0)


def test_limit_takes_the_first_samples() -> None:
    classifier, x, y = half_problem(50)
    data = InMemory(x, y)
    data.eval_batch_size = 16
    _, per_sample = take(Accuracy(), classifier, data, MODEL, limit=20)
    assert list(per_sample["index"]) == list(range(20))


def test_nearest_examples_stand_in_where_the_residual_is_not_known() -> None:
    classifier, x, y = half_problem(30)
    y = classifier(x).argmax(dim=1)
    record, _ = take(Alignment(residual="nearest"), classifier, InMemory(x, y), MODEL)
    assert record.value > 0
    with pytest.raises(ValueError, match="'exact' is not known for given"):
        take(Alignment(residual="exact"), classifier, InMemory(x, y), MODEL)


def test_step_size_may_be_a_fraction_and_grows_with_the_root_of_the_dimension_in_l2(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strides = []
    monkeypatch.setattr(
        "eval.records.measurements.critical_radii", lambda *args, **_: strides.append(args[2].keywords)
    )
    for measurement in standard_measurements(step_size="8/255")[1:3]:
        with pytest.raises(AttributeError):
            measurement(CountPasses(Radial()), Spheres(dimensions=16), [])
    assert [stride["step_size"] for stride in strides] == [8 / 255, 4 * 8 / 255]


def test_attacks_are_measured_in_every_norm_they_know() -> None:
    found = standard_measurements(["pgd", "square", "cw", "sta"], ["Linf", "L2", "L1"], masking=False)
    assert [m.name for m in found[1:-2]] == [
        "epsilon50_pgd_linf", "epsilon50_pgd_l2", "epsilon50_pgd_l1", "epsilon50_square_linf", "epsilon50_square_l2",
        "epsilon50_cw_l2", "tau50_sta",
    ]  # fmt: skip
    fewer = standard_measurements(["square", "pgd"], attack_options={"square": {"norms": ["L2"]}}, masking=False)
    assert [m.name for m in fewer[1:-2]] == ["epsilon50_square_l2", "epsilon50_pgd_linf", "epsilon50_pgd_l2"]
    only = standard_measurements(["cw"], ["Linf"], masking=False)
    assert [m.name for m in only[1:-2]] == ["epsilon50_cw_l2"]


@pytest.mark.parametrize(
    ("attack", "options"), [("pgd", {}), ("square", {"queries": 200}), ("pgd20", {}), ("fgsm", {})]
)
def test_every_attack_ends_in_the_known_radii_of_a_linear_classifier(attack: str, options: dict) -> None:
    classifier, x, y = half_problem(40)
    measurement = AttackRadii(attack, "Linf", options, 0.01, 0.02, (Strength(0.05), Strength("1/20")))
    record, per_sample = take(measurement, classifier, InMemory(x, y), MODEL)
    known = known_radii(classifier, x, y, "Linf")
    assert record.value == pytest.approx(float(known.sort().values[19:21].mean()), rel=0.05)
    assert (torch.tensor(per_sample.radius) >= known * (1 - 1e-6)).all()
    share = float((known > 0.05).double().mean())
    assert record.settings["accuracy_at"] == {
        "0.05": pytest.approx(share, abs=0.03),
        "1/20": pytest.approx(share, abs=0.03),
    }


def test_a_minimum_norm_attack_ends_in_radii_too() -> None:
    pytest.importorskip("foolbox")
    classifier, x, y = half_problem(30)
    record, per_sample = take(AttackRadii("ddn", "L2"), classifier, InMemory(x, y), MODEL)
    known = known_radii(classifier, x, y, "L2")
    torch.testing.assert_close(torch.tensor(per_sample.radius), known, rtol=0.03, atol=1e-6)
    assert (per_sample.radius == per_sample.failed_at).all()
    assert record.value == pytest.approx(float(known.sort().values[14:16].mean()), rel=0.03)


def test_unknown_attacks_and_options_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`attacks` should be one of fgsm, pgd.*'PGD'"):
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
            take(AttackRadii("pgd", norm, {"step_size": Strength(0.1)}), classifier, InMemory(x, y), MODEL)
    assert seen == {"Linf": pytest.approx(0.1), "L2": pytest.approx(0.2), "L1": pytest.approx(0.4)}


def test_masking_is_measured_with_its_signs() -> None:
    classifier, x, y = half_problem(60)
    record, per_sample = take(Masking(steps=5, limit=50), classifier, InMemory(x, y), MODEL)
    assert record.value == 0
    assert record.samples == len(per_sample) == 50
    assert len(record.settings["signs"]) == 8
    assert record.settings["summary"].startswith("No sign of gradient masking in 8 checks on 50 samples")


def test_a_classifier_that_is_always_wrong_has_no_verdict_on_masking() -> None:
    classifier, x, _ = half_problem(20)
    wrong = 1 - classifier(x).argmax(dim=1)
    record, _ = take(Masking(), classifier, InMemory(x, wrong), MODEL)
    assert math.isnan(record.value)
    assert "nothing can be said" in record.settings["summary"]


def test_an_attack_that_takes_strengths_one_by_one_is_asked_at_few() -> None:
    """The median is closed, the accuracy wanted is known, and the curve is known where all samples were attacked."""
    seen = []

    def slow(classifier, x, y, strength, **options):
        seen.append(strength.unique().tolist())
        return pgd(classifier, x, y, strength, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ATTACKS, "pgd", SuiteAttack("PGD", slow, first_guess=pgd, mixed_strengths=False))
        classifier, x, y = half_problem(40)
        record, per_sample = take(AttackRadii("pgd", epsilons=(Strength(0.03),)), classifier, InMemory(x, y), MODEL)
    known = known_radii(classifier, x, y, "Linf")
    assert all(len(strengths) == 1 for strengths in seen)
    assert record.value == pytest.approx(float(known.sort().values[19:21].mean()), rel=0.05)
    assert record.settings["accuracy_at"]["0.03"] == pytest.approx(float((known > 0.03).double().mean()), abs=0.03)
    assert per_sample.radius.nunique() > 4

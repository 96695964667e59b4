import pytest
import torch

from eval.measurements import Accuracy, Alignment, ImageAlignment, PGDRadii, standard_measurements, take
from eval.passes import CountPasses
from eval.results import Model
from tests.eval.classifiers import InMemory, Radial, half_problem, known_radii
from training.data import Spheres

MODEL = Model("given", "B")


def test_most_robust_classifier_of_spheres_is_measured_as_the_theory_says() -> None:
    """α = 1 and ρ = ½‖Δx‖ = 0.15: paper 1, after Theorem 2."""
    data = Spheres(dimensions=20)
    found = {}
    for measurement in standard_measurements(norms=("L2",), resolution=0.002):
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
    measurement = PGDRadii(norm="Linf", resolution=0.01, curve_resolution=None, steps=60)
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
    monkeypatch.setattr("eval.measurements.critical_radii", lambda *args, **_: strides.append(args[2].keywords))
    for measurement in standard_measurements(step_size="8/255")[1:3]:
        with pytest.raises(AttributeError):
            measurement(CountPasses(Radial()), Spheres(dimensions=16), [])
    assert [stride["step_size"] for stride in strides] == [8 / 255, 4 * 8 / 255]

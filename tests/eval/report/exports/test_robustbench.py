import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval.records import Quantity, Record, Records, Samples
from eval.report.exports import export
from tests.eval.made import ACCURACY, PGD, model, record, written

# What a file of RobustBench's folder `model_info` holds.
PUBLISHED = {
    "link", "name", "authors", "additional_data", "number_forward_passes", "dataset", "venue", "architecture", "eps",
    "clean_acc", "reported", "autoattack_acc",
}  # fmt: skip
SETTINGS = {"version": "standard", "attacks": None, "steps": 100, "queries": 5000, "seed": 0}
CIFAR = Samples("CIFAR-10", {}, (0.0, 1.0), "test", 10_000, "c10")


def at(epsilon: str, value: float, norm: str = "Linf", **changes: Any) -> Record:
    settings = SETTINGS | changes.pop("settings", {})
    quantity = Quantity("robust_accuracy", "autoattack", norm, settings, epsilon)
    return record(quantity, value, samples=10_000, **changes)


def searched(accuracies: dict[str, float], **changes: Any) -> Record:
    details = {"epsilon_max": 1.0, "accuracy_at": accuracies}
    return record(Quantity("epsilon50", "autoattack", "Linf", SETTINGS), 0.02, details=details, **changes)


def entries(records: Records, **about: Any) -> dict[str, dict[str, Any]]:
    return {path: json.loads(text) for path, text in export(records, "robustbench", about).files.items()}


def test_an_entry_has_the_leaderboards_fields_and_nothing_that_was_not_measured(tmp_path: Path) -> None:
    made = [record(ACCURACY, 0.93678, samples_of=CIFAR), at("8/255", 0.4567, samples_of=CIFAR)]
    found = entries(written(tmp_path, made))
    (entry,) = found.values()
    assert [*found] == ["model_info/cifar10/Linf/B.json"]
    assert entry.keys() == PUBLISHED
    measured = {"dataset": "cifar10", "eps": "8/255", "clean_acc": "93.68", "autoattack_acc": "45.67"}
    assert entry == dict.fromkeys(PUBLISHED, "") | measured | {"architecture": "mlp"}


def test_what_somebody_knows_stands_beside_the_numbers(tmp_path: Path) -> None:
    records = written(tmp_path, [at("8/255", 0.4, samples_of=CIFAR)])
    (entry,) = entries(records, authors="A, B", additional_data=False, footnote="Ours.", venue="v").values()
    assert (entry["authors"], entry["additional_data"], entry["footnote"], entry["venue"]) == (
        "A, B",
        False,
        "Ours.",
        "v",
    )
    assert entry["clean_acc"] == ""  # nobody measured it


@pytest.mark.parametrize(
    ("about", "named"), [({"clean_acc": "99"}, "clean_acc"), ({"eps": "1"}, "eps"), ({"author": "x"}, "author")]
)
def test_what_is_measured_cannot_be_said_nor_what_has_no_place(tmp_path: Path, about: dict, named: str) -> None:
    with pytest.raises(ValueError, match=rf"^`about` should .* Found {named}"):
        entries(written(tmp_path, [at("8/255", 0.4)]), **about)


@pytest.mark.parametrize(
    ("bounds", "given", "epsilon"),
    [
        ((0.0, 1.0), "8/255", "8/255"),
        ((0.0, 1.0), "0.5", "0.5"),
        ((-1.0, 1.0), "16/255", "8/255"),
        ((0.0, 255.0), "8", "8/255"),
        ((-1.0, 1.0), "0.5", "0.25"),
    ],
)
def test_epsilon_is_for_inputs_between_0_and_1(tmp_path: Path, bounds: Any, given: str, epsilon: str) -> None:
    records = written(tmp_path, [at(given, 0.4, samples_of=replace(CIFAR, bounds=bounds))])
    (entry,) = entries(records).values()
    assert entry["eps"] == epsilon


def test_accuracy_at_an_epsilon_of_a_search_is_one_too(tmp_path: Path) -> None:
    made = searched({"8/255": 0.25, "4/255": 0.5}, samples_of=CIFAR)
    found = entries(written(tmp_path, [made]))
    assert {(entry["eps"], entry["autoattack_acc"]) for entry in found.values()} == {
        ("8/255", "25.00"),
        ("4/255", "50.00"),
    }
    assert {Path(path).stem for path in found} == {"B_eps8over255_c10", "B_eps4over255_c10"}


def test_the_lowest_of_two_accuracies_at_one_epsilon_counts(tmp_path: Path) -> None:
    made = [searched({"8/255": 0.25}, samples_of=CIFAR), at("8/255", 0.23, samples_of=CIFAR)]
    (entry,) = entries(written(tmp_path, made)).values()
    assert entry["autoattack_acc"] == "23.00"


def test_norms_lie_in_folders_of_their_own_and_models_in_files(tmp_path: Path) -> None:
    one, other = (model("CIFAR-10", recipe) for recipe in ("A", "B/2"))
    made = [at("8/255", 0.4, of=one), at("0.5", 0.6, "L2", of=one), at("8/255", 0.3, of=other)]
    assert {*entries(written(tmp_path, made))} == {
        "model_info/cifar10/Linf/A.json", "model_info/cifar10/L2/A.json", "model_info/cifar10/Linf/B2.json",
    }  # fmt: skip


def test_fewer_samples_than_the_leaderboards_or_another_split_are_said(tmp_path: Path) -> None:
    few = replace(CIFAR, split="validation", count=200)
    (entry,) = entries(written(tmp_path, [replace(at("8/255", 0.4, samples_of=few), samples=200)])).values()
    assert entry["footnote"] == "Measured on 200 samples of the validation split."


NOT_ENOUGH = {
    "no AutoAttack": [record(ACCURACY), record(PGD, 0.2)],
    "ε50% alone": [searched({})],
    "fewer steps": [at("8/255", 0.5, settings={"steps": 10})],
    "another version": [at("8/255", 0.5, settings={"version": "plus"})],
    "some of its attacks": [at("8/255", 0.5, settings={"attacks": ["apgd-ce"]})],
    "no range": [at("8/255", 0.5, samples_of=Samples("Spheres", {}, (-math.inf, math.inf), "test", 4, "s"))],
    "an estimator": [at("8/255", 0.5, of=model(groups=("estimators",)))],
}


@pytest.mark.parametrize("made", NOT_ENOUGH.values(), ids=NOT_ENOUGH.keys())
def test_without_the_leaderboards_accuracy_the_command_that_measures_it_is_named(
    tmp_path: Path, made: list[Record]
) -> None:
    epsilon = "8/255" if made[0].subject.samples.data == "Spheres" else "16/255"
    with pytest.raises(ValueError, match=rf"--attacks \[autoattack\] .* --epsilons \[{epsilon}\] --only accuracy"):
        entries(written(tmp_path, made))


def test_models_without_it_are_left_out_and_named(tmp_path: Path) -> None:
    made = [at("8/255", 0.4, of=model(recipe="A")), record(ACCURACY, of=model(recipe="C"))]
    exported = export(written(tmp_path, made), "robustbench")
    assert [*exported.files] == ["model_info/d/Linf/A.json"]
    assert exported.notes == ("Without an accuracy under the standard AutoAttack at an ε, and so left out: C.",)


def test_repetitions_of_a_recipe_are_files_that_say_their_seeds(tmp_path: Path) -> None:
    made = [at("8/255", 0.4, of=model(seed=seed)) for seed in (0, 1)]
    assert {Path(path).stem for path in entries(written(tmp_path, made))} == {"B-seed0", "B-seed1"}


def test_models_of_one_name_and_seed_are_files_all_the_same(tmp_path: Path) -> None:
    made = [at("8/255", value, weights=weights) for value, weights in ((0.4, "u"), (0.5, "v"))]
    found = entries(written(tmp_path, made))
    assert {entry["autoattack_acc"] for entry in found.values()} == {"40.00", "50.00"}


def test_a_model_with_figures_alone_is_none_of_the_leaderboard_s(tmp_path: Path) -> None:
    made = [at("8/255", 0.4, of=model(recipe="A")), record(Quantity("alpha_dx_other"), 0.3, model(recipe="C"))]
    assert export(written(tmp_path, made), "robustbench").notes == ()

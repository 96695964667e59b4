"""What several folders hold against the first of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eval.records import Record
from eval.report import write_comparison
from eval.report.differences import between_shares, mean_over_trainings
from eval.report.folder_differences import folder_differences
from eval.report.joining import joined
from tests.eval.made import ACCURACY, ALPHA, PGD, model, record, written

pytestmark = pytest.mark.usefixtures("without_pictures")
HEADING = "Differences from the first folder"


def right(count: int, of: int = 100) -> pd.DataFrame:
    """Predictions of which so many, the first ones, are right."""
    return pd.DataFrame({"index": range(of), "label": 0, "predicted": [0] * count + [1] * (of - count)})


def measured(folder: Path, name: str, shares: dict[str, int], **changes: object) -> Path:
    """A folder with the accuracy of a model or of several."""
    for recipe, count in shares.items():
        one = record(ACCURACY, count / 100, model(recipe=recipe), weights=f"{name} {recipe}", **changes)
        written(folder / name, [one], right(count))
    return folder / name


def test_two_checkpoints_are_compared_sample_by_sample(tmp_path: Path) -> None:
    """Their own intervals overlap by far, and that of the difference does not hold 0."""
    folders = [measured(tmp_path, "one", {"mine": 60}), measured(tmp_path, "two", {"yours": 70})]
    table = write_comparison(folders, tmp_path / "out")[HEADING]
    (line,) = table.frame.to_dict("records")
    outcomes = (right(count).predicted.to_numpy() == 0 for count in (70, 60))
    low, high = between_shares(*(one.astype(float) for one in outcomes))
    assert line == {
        "data": "d",
        "recipe": "yours",
        "folder": "two",
        "minus": "mine (one)",
        "accuracy %": f"+10.0 [+{100 * low:.1f}, +{100 * high:.1f}]",
    }
    assert low > 0
    exact = pd.read_csv(tmp_path / "out/differences.csv")
    assert exact[["accuracy %", "accuracy % low", "accuracy % high"]].to_numpy()[0] == pytest.approx(
        [10, 100 * low, 100 * high]
    )
    assert table.notes == [
        "In brackets: 95 % interval of the difference, one training each, so over 100 samples alone."
    ]


def of_seeds(values: dict[int, float], name: str) -> list[Record]:
    return [record(ALPHA, value, model(seed=seed), weights=f"{name} {seed}") for seed, value in values.items()]


def test_studies_are_compared_recipe_by_recipe_paired_over_seeds(tmp_path: Path) -> None:
    written(tmp_path / "one", [*of_seeds({0: 0.2, 1: 0.4, 2: 0.5}, "one"), record(ACCURACY, 0.5, model(recipe="P"))])
    written(tmp_path / "two", of_seeds({0: 0.3, 1: 0.5, 2: 0.5, 3: 0.9}, "two"))
    frame = folder_differences(joined([tmp_path / "one", tmp_path / "two"])).frame
    (line,) = frame.to_dict("records")
    low, high = mean_over_trainings(np.array([0.1, 0.1, 0.0]))
    assert line["α_Δx"] == f"+0.067 [−{abs(low):.3f}, +{high:.3f}]"
    assert (line["recipe"], line["minus"]) == ("B (two)", "B (one)")
    assert "accuracy %" not in frame  # which only one folder has


def test_recipes_without_a_partner_are_not_compared(tmp_path: Path) -> None:
    folders = [measured(tmp_path, "one", {"B": 60, "P": 50}), measured(tmp_path, "two", {"mine": 70})]
    assert folder_differences(joined(folders)).frame.empty
    assert HEADING not in write_comparison(folders, tmp_path / "out")


def test_other_samples_are_not_compared(tmp_path: Path) -> None:
    other = record().subject.samples
    changed = {"samples_of": type(other)("e", other.arguments, other.bounds, other.split, other.count, "d1")}
    folders = [measured(tmp_path, "one", {"B": 60}), measured(tmp_path, "two", {"B": 70}, **changed)]
    assert folder_differences(joined(folders)).frame.empty


def test_other_settings_are_another_number(tmp_path: Path) -> None:
    more = type(PGD)("epsilon50", "pgd", "Linf", {"steps": 7})
    written(tmp_path / "one", [record(PGD, 0.2, weights="one")])
    written(tmp_path / "two", [record(more, 0.3, weights="two")])
    assert folder_differences(joined([tmp_path / "one", tmp_path / "two"])).frame.empty


def test_each_further_folder_has_a_row(tmp_path: Path) -> None:
    folders = [measured(tmp_path, name, {"B": count}) for name, count in (("one", 60), ("two", 70), ("three", 50))]
    frame = write_comparison(folders, tmp_path / "out")[HEADING].frame
    assert {folder: cell.split()[0] for folder, cell in zip(frame["folder"], frame["accuracy %"], strict=True)} == {
        "two": "+10.0",
        "three": "−10.0",
    }
    assert {*frame["minus"]} == {"B (one)"}


def test_a_model_of_both_folders_is_not_compared_with_itself(tmp_path: Path) -> None:
    same = record(ACCURACY, 0.5)
    for name in ("one", "two"):
        written(tmp_path / name, [same])
    assert folder_differences(joined([tmp_path / "one", tmp_path / "two"])).frame.empty

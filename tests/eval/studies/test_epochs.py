"""What a training logged in every epoch becomes tables that figures are drawn from."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from eval.records.record import Record
from eval.records.subject import Model, Samples, Subject
from eval.studies.logs import training_records

ROWS = [
    {"epoch": 0, "cosine/a.weight": 0.5, "cosine/b": -0.25, "opposed/a.weight": 0.0, "opposed/b": 0.75},
    {"epoch": 0, "val_clean": 2.0, "val_adversarial": 3.0},
    {"epoch": 0, "train_adversarial": 4.0, "epoch_steps_seconds": 7.0, "epoch_steps_peak_mb": 90.0},
    {"epoch": 1, "cosine/a.weight": 0.9, "cosine/b": 0.1, "opposed/a.weight": 0.0, "opposed/b": 0.5},
    {"epoch": 1, "val_clean": 1.0, "val_adversarial": 2.5, "test_clean": 1.5, "test_adversarial": 2.75},
    {"epoch": 1, "train_adversarial": 3.0, "epoch_steps_seconds": 9.0, "epoch_steps_peak_mb": 91.0},
]


def found(folder: Path, rows: list[dict], epoch: int = 0) -> dict[str, tuple[Record, pd.DataFrame]]:
    pd.DataFrame(rows).to_csv(folder / "metrics.csv", index=False)
    torch.save({"epoch": epoch}, folder / "best.ckpt")
    records = training_records(Model("d", "AT"), Subject(Samples("d")), folder, folder / "best.ckpt")
    return {record.quantity.kind: (record, table) for record, table in records}


def test_cosines_of_layers_stand_in_one_table_of_all_epochs(tmp_path: Path) -> None:
    record, table = found(tmp_path, ROWS)["layer_cosine"]
    assert table.to_dict("list") == {
        "epoch": [0, 0, 1, 1],
        "layer": ["a.weight", "b", "a.weight", "b"],
        "cosine": [0.5, -0.25, 0.9, 0.1],
        "opposed": [0.0, 0.75, 0.0, 0.5],
    }
    assert record.value == pytest.approx(0.5)  # in the last epoch, although the first one was kept
    assert record.samples == 2


def test_losses_of_an_epoch_stand_in_one_row(tmp_path: Path) -> None:
    record, table = found(tmp_path, ROWS)["training_curve"]
    assert [*table] == [
        "epoch",
        "train_adversarial",
        "val_clean",
        "val_adversarial",
        "test_clean",
        "test_adversarial",
    ]
    assert list(table.val_adversarial) == [3.0, 2.5]
    assert table.test_clean.isna().tolist() == [True, False]
    assert record.value == 2.5
    assert record.details["value"] == "val_adversarial of the last epoch"


def test_seconds_and_memory_say_what_they_are_of(tmp_path: Path) -> None:
    record, table = found(tmp_path, ROWS)["epoch_cost"]
    assert list(table.seconds) == [7.0, 9.0]
    assert list(table.peak_mb) == [90.0, 91.0]
    assert record.value == 8.0
    assert "resident set" in record.details["peak_mb"]


def test_what_was_not_logged_has_no_record(tmp_path: Path) -> None:
    assert found(tmp_path, [{"epoch": 0, "val_accuracy": 0.5}]) == {}
    assert found(tmp_path, [{"epoch": 0, "train_clean": 0.5}]).keys() == {"training_curve"}

"""Where numbers come from."""

import sys
from pathlib import Path

import pytest

from eval.records.provenance import command, provenance
from eval.report.content.made_with import commands, made_with
from tests.eval.made import ACCURACY, PGD, record, written

MADE = {
    "versions": {"torch": "2"},
    "python": "3.11",
    "revision": "abc",
    "machine": "x86_64",
    "threads": 2,
    "device": "CPU",
    "date": "2026-11-27",
    "command": "alphadx measure a.pt --out r",
}


def test_days_machines_revisions_and_commands_are_told_once_each(tmp_path: Path) -> None:
    later = MADE | {"date": "2026-11-28", "revision": "abd"}
    records = written(tmp_path, [record(provenance=MADE), record(PGD, provenance=later)])
    told = made_with(records)
    assert told["Measured"] == "2026-11-27 · 2026-11-28"
    assert told["Machine"] == "CPU, x86_64, 2 threads, Python 3.11"
    assert told["Code revision"] == "abc · abd"
    assert told["Versions"] == "torch 2"
    assert commands(records) == ["alphadx measure a.pt --out r"]


def test_many_days_are_the_first_and_the_last_and_old_records_say_none(tmp_path: Path) -> None:
    made = [record(q, provenance=MADE | {"date": day}) for q, day in ((ACCURACY, "2026-01-01"), (PGD, "2026-01-03"))]
    many = [*made, record(PGD, 0.1, weights="w", provenance=MADE | {"date": "2026-01-02"})]
    assert made_with(written(tmp_path, many))["Measured"] == "2026-01-01 to 2026-01-03"
    assert made_with(written(tmp_path / "old", [record(provenance={})]))["Measured"] == "not recorded"


@pytest.mark.parametrize(
    ("called", "told"),
    [
        (["/x/bin/alphadx", "measure", "my model.pt"], "alphadx measure 'my model.pt'"),
        (["/x/eval/cli/__main__.py", "study", "quick"], "alphadx study quick"),
        (["/y/train.py", "--secret"], "python train.py"),
        (["/y/ipykernel_launcher.py", "-f", "k.json"], ""),
        ([""], ""),
        ([], ""),
    ],
)
def test_the_command_is_what_was_typed(monkeypatch: pytest.MonkeyPatch, called: list[str], told: str) -> None:
    monkeypatch.setattr(sys, "argv", called)
    assert command() == told


def test_a_record_says_day_and_command() -> None:
    assert len(provenance()["date"]) == len("2026-11-27")
    assert isinstance(provenance()["command"], str)

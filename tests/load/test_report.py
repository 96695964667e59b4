"""A report of many records: parts are made once, what is left out is told, and pictures leave nothing behind."""

from pathlib import Path

import pytest

from benchmarks.synthetic_records import write_synthetic
from eval.records import Results
from eval.report import correlation_table
from eval.report.sweeps import sweeps
from eval.report.worst import worst_of_all


def test_what_parts_share_is_made_once(tmp_path: Path) -> None:
    assert write_synthetic(tmp_path, 12, 20) == 96
    records = Results(tmp_path).load()
    chosen = [*records]
    assert sweeps(records) is sweeps(records)
    assert sweeps(records) is not sweeps(Results(tmp_path).load())
    assert worst_of_all(records, chosen)[0] is worst_of_all(records, chosen)[0]


@pytest.mark.slow
def test_groups_without_a_picture_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.synthetic_records.STRENGTHS", ("0.1", "0.2"))
    write_synthetic(tmp_path, 30, 8)
    monkeypatch.setattr("eval.report.sweeps.LARGEST", 1)
    assert any("first 1 of 2 groups" in note for note in correlation_table(Results(tmp_path).load()).notes)

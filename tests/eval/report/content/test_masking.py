"""Signs of masking in one line, unless there are any."""

from pathlib import Path
from typing import Any

import pytest

from eval.records import Model, Quantity, Record
from eval.report.content.masking import masking
from eval.report.tables import masking_table
from tests.eval.made import record, written

NONE = "No sign of gradient masking in 8 checks on 4 samples."


def judged(value: float, summary: str, recipe: str = "B", signs: int = 8) -> Record:
    details: dict[str, Any] = {"signs": [{}] * signs, "summary": summary}
    return record(Quantity("masking"), value, Model("d", recipe), details=details)


@pytest.mark.parametrize(
    ("made", "sentence", "lines"),
    [
        ([judged(0.0, NONE)], NONE, []),
        ([judged(0.0, NONE), judged(0.0, NONE, "P")], f"{NONE[:-1]} of each of 2 models.", []),
        ([judged(0.0, NONE), judged(2.0, "2 of 8 signs", "P")], "1 of 2 models show signs of gradient masking", [1]),
        ([judged(float("nan"), "nothing can be said.", signs=0)], "The model shows signs of gradient masking", [0]),
    ],
)
def test_a_line_says_what_was_looked_at_and_only_models_with_signs_are_listed(
    tmp_path: Path, made: list[Record], sentence: str, lines: list[int]
) -> None:
    records = written(tmp_path, made)
    found = masking(records, masking_table(records))
    assert found.sentence.startswith(sentence)
    assert list(found.lines) == lines

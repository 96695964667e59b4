"""A process that is killed at any write: the same command ends with the same records."""

import re
import shutil
from pathlib import Path

import pytest

from tests.faults.conftest import Whole
from tests.faults.points import Fault, forked
from tests.faults.tiny import numbers, ran

KILLED = -9
SAMPLE = ["write .*best.ckpt", "open .*metrics.csv (again)", "open .*accuracy.*json"]
"""A half-written checkpoint, an epoch that is not logged yet, and outcomes without their record."""


def assert_goes_on(whole: Whole, folder: Path, at: int) -> None:
    """Kill the study at a call, in the middle of it if it writes, and run it again."""
    out, told = folder / f"{at}", folder / "told"
    fault = Fault(at, when="middle" if whole.points[at].startswith("write") else "before")
    assert forked(lambda: ran(whole.file, out), told, fault) == KILLED, whole.points[at]
    if forked(lambda: ran(whole.file, out), told) != 0:
        remove_as_told(told.read_text(), whole.points[at])
        assert forked(lambda: ran(whole.file, out), told) == 0, (whole.points[at], told.read_text())
    assert numbers(out) == whole.numbers, whole.points[at]
    assert not [*out.rglob("models/**/*.part")], whole.points[at]


def remove_as_told(told: str, call: str) -> None:
    """Lightning writes its log of a training in place: where one is cut, the sentence says what to remove."""
    found = re.search(r"metrics.csv is no log of a training. Remove (.*), and the same command trains again", told)
    assert found is not None, (call, told)
    assert "metrics.csv" in call
    shutil.rmtree(found[1])


@pytest.mark.parametrize("call", [SAMPLE[0], *(pytest.param(one, marks=pytest.mark.slow) for one in SAMPLE[1:])])
def test_study_killed_at_a_write_ends_with_the_same_records(whole: Whole, tmp_path: Path, call: str) -> None:
    found = [number for number, one in enumerate(whole.points) if re.match(call.replace(" (again)", ""), one)]
    at = found["(again)" in call]
    assert_goes_on(whole, tmp_path, at)


@pytest.mark.slow
def test_study_killed_at_any_write_ends_with_the_same_records(whole: Whole, tmp_path: Path) -> None:
    assert len(whole.points) > 100
    for at in range(len(whole.points)):
        assert_goes_on(whole, tmp_path, at)

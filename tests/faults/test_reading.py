"""Whoever reads a folder while a study writes into it sees whole files: any state between two writes, one by one."""

import re
import shutil
from pathlib import Path

import pytest

from eval.cli.command import main
from eval.records import Results
from tests.faults.conftest import Whole
from tests.faults.points import Fault, forked
from tests.faults.test_killed import KILLED
from tests.faults.tiny import numbers, ran

EVERY = 8
NONE_YET = re.compile("alphadx: .* no records")
FEW = "replace .*accuracy.*json"


def states(whole: Whole, pattern: str) -> list[int]:
    """The calls of a pattern; without one, the renamings of a study and some of its other calls."""
    return [
        at
        for at, one in enumerate(whole.points)
        if (re.match(pattern, one) if pattern else one.startswith("replace") or at % EVERY == 0)
    ]


@pytest.mark.usefixtures("without_pictures")
@pytest.mark.parametrize("pattern", [FEW, pytest.param("", marks=pytest.mark.slow)], ids=["few", "many"])
def test_report_while_a_study_writes(whole: Whole, tmp_path: Path, pattern: str) -> None:
    tried = states(whole, pattern)
    assert tried
    for at in tried:
        assert_read(whole, at, tmp_path / f"{at}")


def assert_read(whole: Whole, at: int, folder: Path) -> None:
    """Stop the study before a call, and look at a copy of its folder."""
    out, seen, told, point = folder / "out", folder / "seen", folder / "told", whole.points[at]
    folder.mkdir()
    assert forked(lambda: ran(whole.file, out), told, Fault(at)) == KILLED, point
    if not out.exists():  # before the first call there is no folder to read
        return
    shutil.copytree(out, seen)
    status = forked(lambda: main(["report", str(seen), "--quiet"]), told)
    assert "Traceback" not in told.read_text(), (point, told.read_text())
    if len(Results(out).load()):
        assert status == 0, (point, told.read_text())
        assert (seen / "page.html").is_file(), point
    else:
        assert NONE_YET.search(told.read_text()), (point, told.read_text())
    assert numbers(seen) == numbers(out), point

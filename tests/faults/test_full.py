"""A disk that is full from some write on: it is said which file did not fit, and the same command goes on."""

import errno
import os
import re
from pathlib import Path

import pytest

from tests.faults.conftest import Whole
from tests.faults.points import Fault, forked
from tests.faults.test_killed import remove_as_told
from tests.faults.tiny import numbers, ran

FAILED = 1
NEEDS_SPACE = ("open", "write", "mkdir", "fsync")
"""Calls that a full disk refuses; names can be changed and removed on it."""


def assert_said_and_goes_on(whole: Whole, folder: Path, at: int, number: int = errno.ENOSPC) -> None:
    """Let the disk be full from a call on, then make space."""
    out, told = folder / f"{at}", folder / "told"
    fault = Fault(at, number, "middle", lasting=True)
    assert forked(lambda: ran(whole.file, out), told, fault) == FAILED, whole.points[at]
    assert "disk is full" in told.read_text() or os.strerror(number) in told.read_text(), whole.points[at]
    assert "Traceback" not in told.read_text(), (whole.points[at], told.read_text())
    if forked(lambda: ran(whole.file, out), told) != 0:
        remove_as_told(told.read_text(), whole.points[at])
        assert forked(lambda: ran(whole.file, out), told) == 0, (whole.points[at], told.read_text())
    assert numbers(out) == whole.numbers, whole.points[at]
    assert not [*out.rglob("models/**/*.part")], whole.points[at]


@pytest.mark.parametrize(
    ("call", "number"), [("write .*metrics.csv", errno.EDQUOT), ("write .*accuracy.*json", errno.ENOSPC)]
)
def test_full_disk_is_said_and_the_study_goes_on(whole: Whole, tmp_path: Path, call: str, number: int) -> None:
    (at, *_) = [place for place, one in enumerate(whole.points) if re.match(call, one)]
    assert_said_and_goes_on(whole, tmp_path, at, number)


@pytest.mark.slow
def test_disk_full_at_any_write_is_said_and_the_study_goes_on(whole: Whole, tmp_path: Path) -> None:
    for at, call in enumerate(whole.points):
        if call.startswith(NEEDS_SPACE):
            assert_said_and_goes_on(whole, tmp_path, at)

"""`measure`, `residuals` and `report`, killed or without space at their writes: the same command ends the same."""

import errno
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.faults.commands import Command, assert_same_files, measuring, reporting, storing
from tests.faults.conftest import Whole
from tests.faults.points import Fault
from tests.faults.test_full import FAILED, NEEDS_SPACE
from tests.faults.test_killed import KILLED

QUICK = "write .*class0.*h5"
"""The write of a part of a store: the one of the suite of every day, which writes files as all commands do."""
MANY = [pytest.param(name, "", marks=pytest.mark.slow) for name in ("measure", "residuals", "report")]


@pytest.fixture(scope="module")
def make(whole: Whole, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Command]:
    """Makes a command by its name, each once."""
    folder = tmp_path_factory.mktemp("commands")
    made = {"measure": measuring, "residuals": storing, "report": lambda folder: reporting(folder, whole.out)}
    return cache(lambda name: made[name](folder))


def tried(command: Command, pattern: str) -> list[int]:
    """The first call of a pattern; without one, many."""
    if not pattern:
        return command.sample()
    return [next(at for at, point in enumerate(command.points) if re.match(pattern, point))]


@pytest.mark.parametrize(("name", "pattern"), [("residuals", QUICK), *MANY])
def test_command_killed_at_a_write_ends_with_the_same_files(
    make: Callable[[str], Command], tmp_path: Path, name: str, pattern: str
) -> None:
    command = make(name)
    for at in tried(command, pattern):
        folder, point = tmp_path / f"{at}", command.points[at]
        fault = Fault(at, when="middle" if point.startswith("write") else "before")
        assert command.run(folder, fault) == KILLED, point
        assert command.run(folder) == 0, (point, (folder / "told").read_text())
        assert_same_files(command, folder, point)


@pytest.mark.parametrize(("name", "pattern"), [("residuals", QUICK), *MANY])
def test_disk_full_at_a_write_of_a_command_is_said_and_it_goes_on(
    make: Callable[[str], Command], tmp_path: Path, name: str, pattern: str
) -> None:
    command = make(name)
    for at in tried(command, pattern):
        folder, point = tmp_path / f"{at}", command.points[at]
        if not point.startswith(NEEDS_SPACE):
            continue
        status = command.run(folder, Fault(at, errno.ENOSPC, "middle", lasting=True))
        assert status == FAILED, (point, status, (folder / "told").read_text())
        assert "disk is full" in (folder / "told").read_text(), (point, (folder / "told").read_text())
        assert "Traceback" not in (folder / "told").read_text(), (point, (folder / "told").read_text())
        assert command.run(folder) == 0, (point, (folder / "told").read_text())
        assert_same_files(command, folder, point)

"""`measure`, `residuals` and `report`, killed or without space at their writes: the same command ends the same."""

import errno
import re
from pathlib import Path

import pytest

from tests.faults.commands import Command, assert_same_files, measuring, reporting, storing
from tests.faults.conftest import Whole
from tests.faults.points import Fault
from tests.faults.test_full import FAILED, NEEDS_SPACE
from tests.faults.test_killed import KILLED

NAMES = ("measure", "residuals", "report")
QUICK = {"measure": "write .*accuracy.*csv", "residuals": "write .*class0.*h5", "report": "write .*page.html"}
"""One write of each in the suite of every day."""


@pytest.fixture(scope="module")
def commands(whole: Whole, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Command]:
    folder = tmp_path_factory.mktemp("commands")
    return dict(zip(NAMES, (measuring(folder), storing(folder), reporting(folder, whole.out)), strict=True))


def places(command: Command, name: str, quick: bool) -> list[int]:
    if not quick:
        return command.sample()
    return [at for at, point in enumerate(command.points) if re.match(QUICK[name], point)][:1]


def each(*names: str) -> list:
    """Quickly, and slowly at many writes."""
    slow = [pytest.param(name, False, marks=pytest.mark.slow, id=f"{name}, many") for name in names]
    return [*(pytest.param(name, True, id=name) for name in names), *slow]


@pytest.mark.parametrize(("name", "quick"), each(*NAMES))
def test_command_killed_at_a_write_ends_with_the_same_files(
    commands: dict[str, Command], tmp_path: Path, name: str, quick: bool
) -> None:
    command, told = commands[name], tmp_path / "told"
    assert (tried := places(command, name, quick))
    for at in tried:
        out, point = tmp_path / f"{at}", command.points[at]
        fault = Fault(at, when="middle" if point.startswith("write") else "before")
        assert command.run(out, told, fault) == KILLED, point
        assert command.run(out, told) == 0, (point, told.read_text())
        assert_same_files(command, out, point)


@pytest.mark.parametrize(("name", "quick"), each(*NAMES))
def test_disk_full_at_a_write_of_a_command_is_said_and_it_goes_on(
    commands: dict[str, Command], tmp_path: Path, name: str, quick: bool
) -> None:
    command, told = commands[name], tmp_path / "told"
    for at in places(command, name, quick):
        out, point = tmp_path / f"{at}", command.points[at]
        if not point.startswith(NEEDS_SPACE):
            continue
        assert command.run(out, told, Fault(at, errno.ENOSPC, "middle", lasting=True)) == FAILED, point
        assert "disk is full" in told.read_text(), (point, told.read_text())
        assert "Traceback" not in told.read_text(), (point, told.read_text())
        assert command.run(out, told) == 0, (point, told.read_text())
        assert_same_files(command, out, point)

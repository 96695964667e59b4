"""The tiny study, run once without a fault."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.faults.points import points
from tests.faults.tiny import numbers, ran, study_file


class Whole(NamedTuple):
    """A study that nothing interrupted.

    Attributes:
        file: of the study.
        out: its results.
        numbers: that are recorded.
        points: the calls by which it wrote.
    """

    file: Path
    out: Path
    numbers: dict[str, Any]
    points: list[str]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    file, out = study_file(folder), folder / "out"
    found = points(lambda: ran(file, out), folder / "said")
    assert len(numbers(out)) == 6
    return Whole(file, out, numbers(out), found)

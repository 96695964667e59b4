"""A process that measures one model after the other holds no more after the seventh than after the fourth."""

import sys
from pathlib import Path

import pytest

from benchmarks.leaks import held


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Checkpoint directory")  # a study makes it first, and silences this
@pytest.mark.skipif(sys.platform != "linux", reason="counts what Linux says under /proc")
def test_files_and_networks_do_not_pile_up(tmp_path: Path) -> None:
    found = [*held(tmp_path, 7)]
    assert found[-1]["files"] <= found[3]["files"]
    assert found[-1]["modules"] <= found[3]["modules"]

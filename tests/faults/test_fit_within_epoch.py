"""A training killed in the middle of an epoch goes on from there, and ends as if nothing had happened."""

import os
import signal
import traceback
from pathlib import Path
from typing import Any

import pytest
import torch

from eval.fit.within_epoch import SaveWithinEpoch
from tests.eval.fit.runs import AT, same, saved
from tests.faults.stopping import trained

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning"),
]


def killed(folder: Path, *changes: dict[str, Any], at: int) -> None:
    folder.mkdir()
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        try:
            trained(folder, *changes, stop_at=at, kill=True)
        except BaseException:
            (folder / "raised").write_text(traceback.format_exc())
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    raised = folder / "raised"
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, raised.read_text() if raised.is_file() else status


@pytest.mark.parametrize(
    ("change", "at", "left"),
    [
        ({"model": {"objective": AT}}, 8, 29),  # 17 steps an epoch: killed at the 8th, saved at the 5th
        # saved at the 5th of epoch 1
        pytest.param(
            {"model": {"objective": AT, "network_options": {"hidden": [16]}}}, 24, 12, marks=pytest.mark.slow
        ),
        # saved at the 5th step, the 10th batch
        pytest.param({"trainer": {"accumulate_grad_batches": 2}}, 13, 24, marks=pytest.mark.slow),
    ],
)
def test_killed_in_an_epoch(tmp_path: Path, change: dict, at: int, left: int) -> None:
    torch.set_num_threads(1)
    uninterrupted = trained(tmp_path / "whole", change)
    killed(tmp_path / "killed", change, at=at)
    resumed = trained(tmp_path / "killed", change, {"resume": "last"})
    assert (uninterrupted.steps, resumed.steps) == (34, left)
    assert same(saved(tmp_path / "killed"), saved(tmp_path / "whole"))
    assert resumed.means[1] == uninterrupted.means[1]
    assert resumed.drawn == uninterrupted.drawn


@pytest.mark.parametrize(("option", "value"), [("minutes", 0.0), ("minutes", float("nan")), ("steps", 0)])
def test_out_of_range(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"`save.{option}` should be .* Found {value}"):
        SaveWithinEpoch(**{option: value})

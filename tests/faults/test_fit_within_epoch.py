"""A training killed in the middle of an epoch goes on from there, and ends as if nothing had happened."""

import os
import signal
import traceback
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer

from eval.fit import fit_from
from eval.fit.within_epoch import SaveWithinEpoch
from tests.eval.fit.runs import AT, configuration, same, saved

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning"),
]
WHOLE: dict[str, Any] = {"trainer": {"max_epochs": 2}, "save": {"steps": 5}}


class Seen(Callback):
    """Counts steps, keeps the means of the last epoch, and kills the process at a step."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.steps, self.kill_at = 0, kill_at
        self.means: dict[str, float] = {}
        self.drawn = 0.0

    def on_train_batch_end(self, trainer: Trainer, *rest: Any) -> None:
        self.steps += 1
        self.drawn = float(torch.rand(()))  # as dropout would
        if self.steps == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_train_end(self, trainer: Trainer, module: Any) -> None:
        self.means = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("train_")}


def trained(folder: Path, *changes: dict[str, Any], kill_at: int | None = None) -> Seen:
    cli, seen = fit_from(configuration(folder, WHOLE, *changes)), Seen(kill_at)
    cli.trainer.callbacks.insert(0, seen)  # type: ignore[attr-defined]
    cli.fit()
    return seen


def killed(folder: Path, *changes: dict[str, Any], at: int) -> None:
    folder.mkdir()
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        try:
            trained(folder, *changes, kill_at=at)
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
        ({"model": {"objective": AT, "network_options": {"hidden": [16]}}}, 24, 12),  # saved at the 5th of epoch 1
        ({"trainer": {"accumulate_grad_batches": 2}}, 13, 24),  # saved at the 5th step, the 10th batch
    ],
)
def test_killed_in_an_epoch(tmp_path: Path, change: dict, at: int, left: int) -> None:
    torch.set_num_threads(1)
    uninterrupted = trained(tmp_path / "whole", change)
    killed(tmp_path / "killed", change, at=at)
    resumed = trained(tmp_path / "killed", change, {"resume": "last"})
    assert (uninterrupted.steps, resumed.steps) == (34, left)
    assert same(saved(tmp_path / "killed"), saved(tmp_path / "whole"))
    assert resumed.means == uninterrupted.means
    assert resumed.drawn == uninterrupted.drawn


@pytest.mark.parametrize(("option", "value"), [("minutes", 0.0), ("minutes", float("nan")), ("steps", 0)])
def test_out_of_range(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"`save.{option}` should be .* Found {value}"):
        SaveWithinEpoch(**{option: value})

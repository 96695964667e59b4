"""`fit` is killed, or finds the disk full, at any write: the same command goes on and ends with the same weights."""

import errno
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from eval.cli.mistakes import end_of
from tests.eval.fit.runs import same
from tests.faults.points import Fault, forked, points
from tests.faults.stopping import trained
from tests.faults.test_full import NEEDS_SPACE

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning"),
]
TINY: dict[str, Any] = {
    "data": {
        "class_path": "training.data.Spheres",
        "init_args": {"dimensions": 4, "train_size": 40, "batch_size": 20},
    },
    "checkpoint": {"monitor": "val_accuracy"},
    "selection": {"steps": 1},
    "collapse": {"margin": 0.0},
    "save": {"steps": 1},
}
KILLED, FAILED = -9, 1
"""Statuses of the command."""
KINDS = ("config.yaml", "last.ckpt", "best.ckpt", "metrics.csv")
"""What a training writes."""


def fitted(folder: Path, resume: str | None = None) -> None:
    """Train as the command does; what failed is said as the command says it."""
    log = {"class_path": "pytorch_lightning.loggers.CSVLogger", "init_args": {"save_dir": str(folder)}}
    try:
        trained(folder, TINY, {"trainer": {"logger": log, "log_every_n_steps": 1}, "resume": resume})
    except Exception as error:
        end = end_of(error, ["fit"])
        print(end.told)
        sys.exit(end.status)


def newest(folder: Path, name: str) -> Path:
    """A checkpoint of a training, in whichever folder of its starts it lies."""
    return max(folder.rglob(f"{name}.ckpt"), key=lambda path: path.stat().st_mtime_ns)


def ended(folder: Path) -> dict[str, dict[str, Any]]:
    """The last and the best checkpoint of a training."""
    return {name: torch.load(newest(folder, name), weights_only=True) for name in ("last", "best")}


class Fitted(NamedTuple):
    """A training that nothing interrupted."""

    checkpoints: dict[str, dict[str, Any]]
    points: list[str]


@pytest.fixture(scope="module")
def fit(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    folder = tmp_path_factory.mktemp("fit")
    torch.set_num_threads(1)
    found = points(lambda: fitted(folder / "out"), folder / "said")
    assert all(any(kind in one for one in found) for kind in KINDS)
    return Fitted(ended(folder / "out"), found)


def assert_goes_on(fit: Fitted, out: Path, told: Path, call: str) -> None:
    """Go on from the last checkpoint, or begin afresh where there is none, as the command says."""
    status = forked(lambda: fitted(out, "last"), told)
    if status and "leave out --resume to start afresh" in told.read_text():
        status = forked(lambda: fitted(out), told)
    assert status == 0, (call, told.read_text())
    for name, found in ended(out).items():
        assert same(found, fit.checkpoints[name]), (call, name)
        assert found["epoch"] == fit.checkpoints[name]["epoch"], (call, name)
    assert not [*newest(out, "last").parent.glob("*.part")], call


def assert_survives_a_kill(fit: Fitted, folder: Path, at: int) -> None:
    call = fit.points[at]
    out, told = folder / f"{at}", folder / "told"
    fault = Fault(at, when="middle" if call.startswith("write") else "before")
    assert forked(lambda: fitted(out), told, fault) == KILLED, call
    assert_goes_on(fit, out, told, call)


def assert_survives_a_full_disk(fit: Fitted, folder: Path, at: int) -> None:
    call = fit.points[at]
    out, told = folder / f"{at}", folder / "told"
    assert forked(lambda: fitted(out), told, Fault(at, errno.ENOSPC, "middle", lasting=True)) == FAILED, call
    assert re.fullmatch(r".*: the disk is full. What was finished is kept: make space and start again.\n", said(told))
    assert_goes_on(fit, out, told, call)


def said(told: Path) -> str:
    """The last line of what was printed, which is all but for progress."""
    assert "Traceback" not in told.read_text(), told.read_text()
    return told.read_text().splitlines(keepends=True)[-1]


def first(fit: Fitted, call: str) -> int:
    return next(number for number, one in enumerate(fit.points) if re.match(call, one))


def test_fit_killed_at_a_write_goes_on(fit: Fitted, tmp_path: Path) -> None:
    assert_survives_a_kill(fit, tmp_path, first(fit, "write .*best.ckpt"))


@pytest.mark.slow
def test_disk_full_in_fit_is_said_and_it_goes_on(fit: Fitted, tmp_path: Path) -> None:
    assert_survives_a_full_disk(fit, tmp_path, first(fit, "write .*metrics.csv"))


@pytest.mark.slow
def test_fit_killed_at_any_write_goes_on(fit: Fitted, tmp_path: Path) -> None:
    assert len(fit.points) > 40
    for at in range(len(fit.points)):
        assert_survives_a_kill(fit, tmp_path, at)


@pytest.mark.slow
def test_disk_full_at_any_write_of_fit_is_said_and_it_goes_on(fit: Fitted, tmp_path: Path) -> None:
    for at, call in enumerate(fit.points):
        if call.startswith(NEEDS_SPACE):
            assert_survives_a_full_disk(fit, tmp_path, at)

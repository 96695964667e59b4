"""The scripts run as their first lines say, and a study may be shared by the tasks of a job array."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from eval.studies import load_study
from training import build_network

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_checkpoint_is_measured(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    network = build_network("small_cnn", shape=(1, 8, 8), num_classes=10)
    torch.save(network.state_dict(), here / "model.pt")
    monkeypatch.setattr("eval.report.page.all_plots", lambda records: {})  # which takes longest, and is not looked at
    monkeypatch.setattr(sys, "argv", ["measure_checkpoint.py", "model.pt"])
    runpy.run_path("measure_checkpoint.py", run_name="__main__")
    printed = capsys.readouterr().out
    assert "ε50% Square L∞" in printed
    assert "α_Δx = " in printed
    assert (here / "runs" / "mine" / "page.html").is_file()


def test_the_study_is_the_grid_that_it_says(here: Path) -> None:
    assert len(load_study("own_study.yaml").cells) == 6


@pytest.mark.slow
def test_tasks_of_an_array_share_a_study(here: Path) -> None:
    (here / "bin").mkdir()
    command = here / "bin" / "alphadx"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m eval.cli "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    small = yaml.safe_load((here / "own_study.yaml").read_text(encoding="utf-8"))
    small["experiments"]["rings"]["seeds"] = [0]
    small["base"]["trainer"]["max_epochs"] = 1
    (here / "small.yaml").write_text(yaml.safe_dump(small), encoding="utf-8")
    # The checkout comes last, so that `-m eval.cli` is found and the current folder is what it is for a user.
    environment = os.environ | {"PATH": f"{command.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    environment |= {"STUDY": "small.yaml", "OUT": "runs/small", "SLURM_CPUS_PER_TASK": "1"}
    tasks = [
        subprocess.Popen(
            ["bash", "study_on_slurm.sh"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    told = [task.communicate() for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], told
    checkpoints = list((here / "runs" / "small").glob("models/*/training/best.ckpt"))
    assert len(checkpoints) == 3

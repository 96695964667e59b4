"""Ctrl-C ends all at once, keeps what is finished, and says how to go on."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from eval.cli.interruptions import Terminated, how_to_go_on
from eval.cli.mistakes import end_of
from training import build_network

PATIENCE = 20.0
"""Seconds in which a process ends at once, on a machine that has other things to do."""
ADAM = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.02}}
FIT = {
    "data": {"class_path": "training.data.Digits", "init_args": {"batch_size": 8}},
    "model": {"network": "mlp", "network_options": {"hidden": [8]}, "optimizer": ADAM},
    "selection": {"steps": 2},
    "trainer": {"max_epochs": 10_000, "accelerator": "cpu", "logger": False, "default_root_dir": "."},
}
STUDY = {
    "title": "t",
    "base": {**{name: FIT[name] for name in ("data", "model", "selection")}, "trainer": {"max_epochs": 10_000}},
    "experiments": {"d": {"recipes": {"B": {}}, "seeds": [0, 1]}},
}


@pytest.mark.parametrize(
    ("args", "last", "told"),
    [
        (["study", "q", "--out", "a b"], "", "is kept, and the same command goes on: alphadx study q --out 'a b'"),
        (["measure", "a.pt", "--out=m"], "", "is kept, and the same command goes on: alphadx measure a.pt --out=m"),
        (["measure", "a.pt"], "", "nothing is kept without a folder, and with one the same command goes on: "
         "alphadx measure a.pt --out FOLDER"),
        (["fit", "f.yaml"], "", "no epoch was finished, and the same command begins anew: alphadx fit f.yaml"),
        (["fit", "f.yaml", "--resume=last"], "c/last.ckpt",
         "are kept, and this command goes on: alphadx fit f.yaml --resume c/last.ckpt"),
    ],
)  # fmt: skip
def test_what_is_said_names_the_command_that_goes_on(args: list[str], last: str, told: str) -> None:
    assert how_to_go_on(args, last).endswith(told)
    assert end_of(KeyboardInterrupt(last), args) == (f"interrupted; {how_to_go_on(args, last)}", 130)
    assert end_of(Terminated(), args).status == 143


def started(folder: Path, *args: str) -> subprocess.Popen:
    """The command, in a group of its own; SIGINT has its meaning even where whoever runs the tests ignores it."""
    environment = os.environ | {"PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "eval.cli", *args],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )


def waited_for(happened: Callable[[], object], seconds: float) -> None:
    """Wait until something has happened."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.1)


def children(process: subprocess.Popen) -> list[int]:
    """All processes of its group."""
    done = subprocess.run(["pgrep", "-g", str(process.pid)], capture_output=True, text=True)
    return [int(pid) for pid in done.stdout.split()]


def interrupted(process: subprocess.Popen, begun: Callable[[], object], everybody: bool) -> tuple[str, float]:
    """What it says when it is interrupted once it has begun, and how long it takes to end.

    Args:
        process: the command.
        begun: whether its work has begun.
        everybody: whether all processes of the group are told, as by Ctrl-C, or the first alone, as by kill.
    """
    waited_for(lambda: begun() or process.poll() is not None, 300)
    assert process.poll() is None, process.communicate()
    sent = time.monotonic()
    (os.killpg if everybody else os.kill)(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    return said, time.monotonic() - sent


def last_line(said: str) -> str:
    assert "Traceback" not in said
    return said.strip().splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("everybody", [True, False], ids=["Ctrl-C", "kill -INT"])
def test_study_of_two_processes_ends_at_once_with_both(tmp_path: Path, everybody: bool) -> None:
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False))
    process = started(tmp_path, "study", "s.yaml", "--out", "ε out", "--jobs", "2")
    try:
        said, _ = interrupted(
            process, lambda: len(list(tmp_path.glob("ε out/models/*/training/last.ckpt"))) == 2, everybody
        )
        assert process.returncode == 130
        again = shlex.join(["alphadx", "study", "s.yaml", "--out", "ε out", "--jobs", "2"])
        assert (
            last_line(said)
            == f"alphadx: interrupted; what is finished is kept, and the same command goes on: {again}"
        )
        waited_for(lambda: not children(process), PATIENCE)
    finally:
        for pid in children(process):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_training_says_from_which_checkpoint_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "fit.yaml").write_text(yaml.safe_dump(FIT))
    process = started(tmp_path, "fit", "fit.yaml")
    last = tmp_path / "checkpoints" / "last.ckpt"
    said, _ = interrupted(process, last.exists, True)
    assert process.returncode == 130
    assert last_line(said).endswith("goes on: alphadx fit fit.yaml --resume checkpoints/last.ckpt")
    done = torch.load(last, weights_only=True)["epoch"] + 1
    more = ["--resume", "checkpoints/last.ckpt", "--trainer.max_epochs", str(done + 1)]
    again = started(tmp_path, "fit", "fit.yaml", *more)
    assert again.communicate(timeout=300)[0].startswith("best epoch")
    assert torch.load(last, weights_only=True)["epoch"] == done


@pytest.mark.slow
def test_measuring_keeps_what_is_recorded(tmp_path: Path) -> None:
    network = build_network("small_cnn", shape=(1, 8, 8), num_classes=10, width=32)
    torch.save(network.state_dict(), tmp_path / "a.pt")
    options = [
        "--data",
        "Digits",
        "--network",
        "small_cnn",
        "--network_options",
        "{width: 32}",
        "--normalize",
        "none",
    ]
    process = started(tmp_path, "measure", "a.pt", *options, "--attacks", "square", "--out", "m")
    said, _ = interrupted(process, lambda: list(tmp_path.glob("m/models/*/accuracy*.json")), True)
    assert process.returncode == 130, said
    assert "the same command goes on: alphadx measure a.pt" in last_line(said)

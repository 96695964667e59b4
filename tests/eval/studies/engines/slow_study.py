"""A study whose trainings take a second or two, run by the command in a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from eval.records import Results

PLAN = {
    "title": "tiny",
    "base": {
        "trainer": {"accelerator": "cpu", "max_epochs": 3},
        "model": {"network": "mlp", "network_options": {"hidden": [16]}},
        "selection": {"steps": 3},
        "checkpoint": {"monitor": "val_accuracy"},
        "data": {
            "class_path": "slow_data.SlowSpheres",
            "init_args": {"dimensions": 4, "train_size": 200, "batch_size": 50},
        },
    },
    "measure": {"steps": 5, "resolution": 0.05, "figures": [], "masking": False},
    "experiments": {
        "Spheres4": {
            "recipes": {
                "B": {},
                "P": {
                    "model": {
                        "objective": {"class_path": "training.AT", "init_args": {"epsilon": "1/20", "steps": 3}}
                    }
                },
            },
            "seeds": [0, 1],
        }
    },
}
SLOW = '''
import time
from training.data import Spheres

class SlowSpheres(Spheres):
    """Every training takes a second or two, so that there is time to kill it."""

    def train_dataloader(self):
        time.sleep(1.5)
        return super().train_dataloader()
'''


def started(folder: Path, out: str, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "eval.cli", "study", "plan.yaml", "--out", out, "--device", "cpu", *options]
    source = str(Path(__file__).parents[4])
    return subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> str:
    told, _ = process.communicate(timeout=500)
    assert process.returncode == 0, told
    return told


def until(holds: Callable[[], object], seconds: float = 200) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def values(out: Path) -> dict[tuple[str, str], float]:
    return {
        (r.model.recipe + str(r.model.seed), r.key): r.value
        for r in Results(out).load()
        if r.quantity.kind != "epoch_cost"
    }


def trainings(out: Path) -> dict[str, list[str]]:
    """The logs of each model: one for each time that its training was begun."""
    return {
        home.name: sorted(file.parent.name for file in home.rglob("metrics.csv")) for home in out.glob("models/*")
    }


def times(out: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in out.glob("models/*/*.json")}

"""Memory and open files of one process over hundreds of tiny models: a day's study, made short.

    python benchmarks/leaks.py --save benchmarks/records/leaks.json

Trains and measures models of one recipe that differ in their seeds, one after the other in this process, as a worker
of a study does. After each it counts resident memory, open files, and networks that are still alive. The slope is
that of the second half, since the first models load what all need.
"""

import argparse
import contextlib
import gc
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml
from torch import nn

from eval.records.provenance import provenance
from eval.records.store import write_json
from eval.studies import load_study
from eval.studies.cells import run_cells

STUDY = {
    "title": "Many tiny models",
    "base": {
        "trainer": {"accelerator": "cpu", "max_epochs": 1},
        "model": {"network": "mlp", "network_options": {"hidden": [8]}},
        "selection": {"steps": 1},
        "checkpoint": {"monitor": "val_accuracy"},
        "data": {
            "class_path": "training.data.Spheres",
            "init_args": {"dimensions": 4, "train_size": 50, "batch_size": 50},
        },
    },
    "measure": {"steps": 2, "resolution": 0.5, "curve_resolution": 0.5, "masking": False, "figures": []},
}
EVERY = 50
"""Models after which a line is printed."""


def cells_of(folder: Path, models: int) -> list:
    """The models of the study."""
    file = folder / "many.yaml"
    recipes = {"recipes": {"B": {}}, "seeds": list(range(models))}
    file.write_text(yaml.safe_dump(STUDY | {"experiments": {"Spheres4": recipes}}), encoding="utf-8")
    return [*load_study(str(file)).cells]


def counted() -> dict[str, float]:
    """What this process holds: MiB of memory, open files, and modules that are alive."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    modules = sum(issubclass(type(one), nn.Module) for one in gc.get_objects())
    return {
        "mib": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "files": len(os.listdir("/proc/self/fd")),
        "modules": modules,
    }


def held(folder: Path, models: int) -> Iterator[dict[str, float]]:
    """What is held after each model."""
    for cell in cells_of(folder, models):
        with contextlib.redirect_stderr(io.StringIO()):
            (done,) = run_cells([cell], folder).values()
        if done.failures:
            raise RuntimeError(" ".join(done.failures))
        yield counted()


def slope(found: list[dict[str, float]], name: str) -> float:
    """By how much one model more lets it grow, in the second half."""
    values = [one[name] for one in found[len(found) // 2 :]]
    return float(np.polyfit(range(len(values)), values, 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", type=Path, help="JSON file for the record")
    parser.add_argument("--models", type=int, default=500)
    options = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, one in enumerate(held(Path(folder), options.models), 1):
            found.append(one)
            if number % EVERY == 0 or number == 1:
                told = ", ".join(f"{name} {value:.0f}" for name, value in one.items())
                print(f"{number} models: {told}", flush=True)
    slopes = {name: slope(found, name) for name in found[0]}
    print("slope per model: " + ", ".join(f"{name} {value:.4f}" for name, value in slopes.items()))
    if options.save:
        told = {"command": " ".join(["python", *sys.argv]), "provenance": provenance()}
        kept = [one for number, one in enumerate(found, 1) if number % EVERY == 0 or number == 1]
        write_json(options.save, told | {"models": options.models, "slope_per_model": slopes, "held": kept})


if __name__ == "__main__":
    main()

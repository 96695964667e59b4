"""The smallest study that trains, measures and reports, and what two runs of it have in common."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from eval.cli.command import main
from eval.cli.commands import fail
from eval.cli.mistakes import end_of
from eval.studies import load_study, run_study

TINY = {
    "title": "tiny",
    "base": {
        "trainer": {"accelerator": "cpu", "max_epochs": 1, "logger": True},
        "model": {"network": "mlp", "network_options": {"hidden": [4]}},
        "selection": {"steps": 1},
        "checkpoint": {"monitor": "val_accuracy"},
        "data": {
            "class_path": "training.data.Spheres",
            "init_args": {"dimensions": 4, "train_size": 40, "batch_size": 20},
        },
    },
    "measure": {"steps": 2, "resolution": 0.1, "limit": 8, "figures": [], "masking": False},
    "experiments": {"Spheres4": {"recipes": {"B": {}}}},
}


def study_file(folder: Path) -> Path:
    """The file of the study, for a folder of results beside it."""
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return path


def ran(file: Path, out: Path) -> None:
    """Run the study as the command does, but for the page; what failed is said as the command says it."""
    try:
        fail(run_study(load_study(str(file)), out, jobs=1).failures)
    except Exception as error:
        end = end_of(error, ["study"])
        print(end.told)
        sys.exit(end.status)


def reported(out: Path) -> None:
    """Write the page and all tables."""
    main(["report", str(out), "--quiet"])


def numbers(out: Path) -> dict[str, Any]:
    """What is recorded, but for times and where it was made, with each sample's outcome, by file."""
    found: dict[str, Any] = {}
    for path in sorted(out.glob("models/*/*.json")):
        content = json.loads(path.read_text())
        if path.name.startswith("epoch_cost"):  # seconds and megabytes
            continue
        found[str(path.relative_to(out))] = {key: content.get(key) for key in ("key", "value", "interval", "samples")}
        found[str(path.relative_to(out))]["outcomes"] = path.with_suffix(".csv").read_text()
    return found

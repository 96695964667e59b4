"""The smallest study that trains, measures and reports, and what two runs of it have in common."""

import json
from pathlib import Path
from typing import Any

import yaml

from eval.cli.command import main

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
    "experiments": {"Spheres4": {"recipes": {"B": {}, "P": {"model": {"network_options": {"hidden": [5]}}}}}},
}


def study_file(folder: Path) -> Path:
    """The file of the study, for a folder of results beside it."""
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return path


def ran(file: Path, out: Path) -> None:
    """Run the study as a user does, page and tables included."""
    main(["study", str(file), "--out", str(out), "--jobs", "1", "--quiet"])


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

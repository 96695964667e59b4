"""What is added to a command of the documentation so that it ends in seconds.

Nothing that a command says is changed: a limit is added only where the command leaves that option out.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

COMMANDS: Mapping[str, Mapping[str, str]] = {
    "measure": {
        "--limit": "6",  # samples
        "--steps": "2",  # of PGD
        "--resolution": "0.5",  # relative width to which ε50% is closed
        "--curve-resolution": "0.9",
        "--masking": "false",
        "--device": "cpu",
    },
    "measure, of an estimator": {"--limit": "20", "--device": "cpu"},
    "fit": {
        "--trainer.limit_train_batches": "30",
        "--trainer.limit_val_batches": "1",
        "--trainer.accelerator": "cpu",
        "--trainer.log_every_n_steps": "1",
    },
    "fit, of a classifier": {"--selection.steps": "3", "--selection.resolution": "0.5"},
    "residuals": {"--limit": "20", "--device": "cpu"},
    "study": {"--jobs": "1", "--device": "cpu"},
    "report": {},
    "export": {},
}
"""By word of the command: options and values. With two steps of PGD a search for signs of masking would find some."""
ATTACK_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "square": {"queries": 20},
    "autoattack": {"steps": 2, "queries": 20},
    "spsa": {"steps": 2},
    "sta": {"iterations": 4},
    "cw": {"steps": 5, "search_steps": 1},
}
"""Added as `--attack-options` where `measure` names one of these attacks and no options."""
STUDY: Mapping[str, Any] = {
    "base": {
        "trainer": {"max_epochs": 6, "limit_val_batches": 1},
        "selection": {"steps": 3, "resolution": 0.5},
    },
    "measure": {"limit": 6, "steps": 2, "resolution": 0.5, "curve_resolution": None, "masking": False, "figures": []},
}
"""Laid over a study's YAML of the documentation, where the file does not say it in its own `base` or `measure`."""


def limited(words: list[str]) -> list[str]:
    """The arguments of `alphadx` with what is added to them."""
    job = words[0]
    given = {word.partition("=")[0].replace("_", "-") for word in words if word.startswith("--")}
    limits = COMMANDS.get(job, {})
    if job == "measure" and "--judge" in given:
        limits = COMMANDS["measure, of an estimator"]
    if job == "fit" and "class_path" not in yaml.safe_load(Path(words[1]).read_text("utf-8"))["model"]:
        limits = {**limits, **COMMANDS["fit, of a classifier"]}
    added = [part for name, value in limits.items() if name.replace("_", "-") not in given for part in (name, value)]
    return [*words, *added, *(_attack_options(words, given) if job == "measure" else [])]


def _attack_options(words: list[str], given: set[str]) -> list[str]:
    if "--attacks" not in given or "--attack-options" in given:
        return []
    named = words[words.index("--attacks") + 1].strip("[]").split(",")
    options = {name: ATTACK_OPTIONS[name] for name in named if name in ATTACK_OPTIONS}
    return ["--attack-options", json.dumps(options)] if options else []


def overlaid(source: Mapping[str, Any], limits: Mapping[str, Any] = STUDY) -> dict[str, Any]:
    """A study's YAML with the limits below what it says itself."""
    found = dict(source)
    for key, value in limits.items():
        found[key] = overlaid(found.get(key) or {}, value) if isinstance(value, Mapping) else found.get(key, value)
    return found

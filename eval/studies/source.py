"""The YAML of studies, as it is read: presets and files."""

from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from alignment.spelling import did_you_mean, listed

FAST = "_fast"
"""How the name of a study's fast form ends."""
PRESETS = resources.files("eval.studies") / "presets"
SAFE = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def presets() -> list[str]:
    """Names of the studies that come with the package."""
    return sorted(file.name.removesuffix(".yaml") for file in PRESETS.iterdir() if file.name.endswith(".yaml"))


def content_of(name: str) -> Any:
    """What the YAML of a preset or a file holds.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if there is no such preset, or it cannot be read.
    """
    if name.endswith((".yaml", ".yml")) and Path(name).is_file():
        text = _text(Path(name))
    elif name in presets():
        text = (PRESETS / f"{name}.yaml").read_text(encoding="utf-8")
    elif name.endswith((".yaml", ".yml")):
        raise FileNotFoundError(f"{name}: no such file of a study. `alphadx study --list` prints the presets.")
    else:
        raise ValueError(
            f"`study` should be one of {listed(name, presets())}, or an existing YAML file; `alphadx study --list` "
            f"says what each is. Found {name!r}.{did_you_mean(name, presets())}"
        )
    try:
        return yaml.load(text, SAFE)
    except yaml.YAMLError as error:
        raise ValueError(f"{name} cannot be read as YAML: {' '.join(str(error).split())}") from error


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} cannot be read as YAML: it is not UTF-8.") from error

"""Library versions, code revision and machine: where numbers come from."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from eval.records.device import device_name

LIBRARIES = ("alphadx", "torch", "torchvision", "pytorch-lightning", "torchmetrics", "kornia", "scipy", "numpy")


def provenance(device: str | torch.device = "cpu") -> dict[str, Any]:
    """Library versions, code revision, machine, day, command, and where data files are looked for.

    Args:
        device: that the numbers were computed on.
    """
    return {
        "versions": versions(),
        "python": platform.python_version(),
        "revision": revision(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "device": device_name(device),
        "data_root": os.environ.get("ALPHADX_DATA", ""),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "command": command(),
    }


def command() -> str:
    """What was typed, or the script that called; empty in a notebook or at a prompt."""
    called, *arguments = sys.argv or [""]
    script = Path(called)
    if script.parts[-3:-1] == ("eval", "cli") or script.stem == "alphadx":
        return shlex.join(["alphadx", *arguments])
    return f"python {script.name}" if script.suffix == ".py" and "ipykernel" not in script.name else ""


@cache
def versions() -> dict[str, str]:
    """Of the libraries that numbers depend on."""
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    return found


@cache
def revision() -> str:
    """The code's git revision, marked where the checkout has changes that are not committed."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).resolve().parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "not a checkout"
    return described.stdout.strip()

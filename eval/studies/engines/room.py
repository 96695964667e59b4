"""Whether a machine of a Ray cluster has room for a task at all."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from generators.files import write_whole

FILE = "room.json"
"""Beside what the workers say, so that whoever reads them reads it."""


def lacking(machines: Sequence[Mapping[str, Any]], cpus: float, gpus: float) -> str:
    """What no machine has, or nothing where one has room for a task.

    Args:
        machines: of the cluster, as `ray.nodes()` tells of them.
        cpus: of a task.
        gpus: of a task.

    Example:
        >>> lacking([{"Alive": True, "Resources": {"CPU": 2.0}}], 4.0, 0.0)
        'no machine with 4 CPUs and 0 GPUs; the cluster has one of 2 and 0'
        >>> lacking([{"Alive": True, "Resources": {"CPU": 2.0}}], 0.5, 0.0)
        ''
    """
    found = [machine["Resources"] for machine in machines if machine["Alive"]]
    have = sorted({(one.get("CPU", 0.0), one.get("GPU", 0.0)) for one in found}, reverse=True)
    if any(cpus <= cores and gpus <= cards for cores, cards in have):
        return ""
    told = ", ".join(f"one of {cores:g} and {cards:g}" for cores, cards in have) or "none"
    return f"no machine with {cpus:g} CPUs and {gpus:g} GPUs; the cluster has {told}"


def say_lacking(told: Path, lack: str) -> None:
    """Let progress say what no machine has, as long as none has it: a cluster may grow."""
    file = told / FILE
    if lack:
        write_whole(file, json.dumps({"share": 0.0, "where": f"waiting, since there is {lack}"}))
    else:
        file.unlink(missing_ok=True)

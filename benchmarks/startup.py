"""CPU time until the command, or an import, is there, over that of `import torch`.

    python benchmarks/startup.py --save benchmarks/records/startup.json

Each is done in a process of its own, by turns with `import torch`, so that a busy machine slows both; what counts is
the time of the CPU, in user and system mode, and the median of the ratios of each pair. Goals: help within one
second, and `import alignment` within 1.3 of torch.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from eval.records.provenance import provenance
from eval.records.store import write_json

COMMAND = "import sys; from eval.cli import main; main(sys.argv[1:])"
TORCH = ["-c", "import torch"]
DONE: dict[str, list[str]] = {
    "alphadx --help": ["-c", COMMAND, "--help"],
    "alphadx --version": ["-c", COMMAND, "--version"],
    "alphadx measure --help": ["-c", COMMAND, "measure", "--help"],
    "alphadx study --list": ["-c", COMMAND, "study", "--list"],
    "alphadx measure --help-all": ["-c", COMMAND, "measure", "--help-all"],
    **{
        f"import {name}": ["-c", f"import {name}"]
        for name in ("alignment", "generators", "training", "eval", "eval.report")
    },
    **{
        statement: ["-c", statement]
        for statement in (
            "from alignment import alpha_dx",
            "from training import pgd",
            "from eval import critical_radii",
            "from training.data import Digits",
            "from eval import measure",
            "from eval.report import write_report",
        )
    },
}
"""What is timed, by how it is called."""


def cpu_seconds(arguments: list[str]) -> float:
    """CPU time of a Python process, with those that it starts."""
    before = os.times()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def paired(arguments: list[str], pairs: int) -> dict[str, float | list[float]]:
    """Seconds and ratios of something, each beside `import torch`."""
    seconds = [(cpu_seconds(arguments), cpu_seconds(TORCH)) for _ in range(pairs)]
    ratios = [own / torch for own, torch in seconds]
    return {"ratio": median(ratios), "seconds": median(own for own, _ in seconds), "ratios": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", type=Path, help="JSON file for the record")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    cpu_seconds(TORCH)  # files are read once, and compiled
    record: dict = {"command": " ".join(["python", *sys.argv]), "provenance": provenance(), "startup": {}}
    print(f"{'':38}{'× torch':>8}{'seconds':>9}  (from {'lowest':>6} to highest ratio)")
    for name, arguments in DONE.items():
        found = record["startup"][name] = paired(arguments, options.pairs)
        ratios = found["ratios"]
        print(f"{name:38}{found['ratio']:8.2f}{found['seconds']:9.2f}  ({min(ratios):.2f} to {max(ratios):.2f})")
    if options.save:
        write_json(options.save, record)


if __name__ == "__main__":
    main()

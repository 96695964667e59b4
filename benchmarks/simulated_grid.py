"""A grid of ten thousand models on a thousand workers, simulated: how long workers wait for the file system.

    python benchmarks/simulated_grid.py --save benchmarks/records/simulated_grid.json

First counts what one tiny model asks of the file system, by the calls of Python's own functions, and how large its
files are, and times a listing and a lock in a folder of this machine. Then simulates workers that take the models of
a list in order, each with a service of metadata that does so many operations a second, one after the other. Nothing
here was seen on a cluster: the rates are assumptions, which the table names.
"""

import argparse
import heapq
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from filelock import FileLock

from benchmarks.leaks import cells_of
from eval.records.provenance import provenance
from eval.records.store import write_json
from eval.studies.cells import run_cells

CALLS = {
    "open": "open",
    "os.rename": "rename",
    "os.remove": "remove",
    "os.mkdir": "mkdir",
    "os.listdir": "list",
    "os.scandir": "list",
}
"""Events of Python's audit that reach the file system, and how they are called; a stat raises none."""
RATES = {"a local disk": 50_000, "a shared file system": 5_000, "a busy shared file system": 500}
"""Metadata operations a second, of all workers together."""
SMALL = 2**10


class Calls:
    """Counts operations on files below a folder while it is watching."""

    def __init__(self, folder: Path) -> None:
        self.below, self.found, self.watching = str(folder), Counter(), False
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple) -> None:
        if self.watching and event in CALLS and str(arguments[0]).startswith(self.below):
            self.found[CALLS[event]] += 1


def of_one_model() -> dict:
    """Operations, files and bytes of one model, the second of a folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, second = cells_of(folder, 2)
        run_cells([first], folder)
        before, calls = _files(folder), Calls(folder)
        calls.watching = True
        run_cells([second], folder)
        calls.watching = False
        new = {path: size for path, size in _files(folder).items() if path not in before}
    return {"operations": dict(calls.found), "files": len(new), "bytes": sum(new.values())}


def _files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def of_this_disk(folders: int) -> dict[str, float]:
    """Seconds of a listing of so many folders, and of a lock."""
    with tempfile.TemporaryDirectory() as name:
        for number in range(folders):
            (Path(name) / f"model-{number}").mkdir()
        started = time.perf_counter()
        listed = len([*Path(name).glob("*-absent")])
        listing = time.perf_counter() - started
        started = time.perf_counter()
        for number in range(100):
            with FileLock(Path(name) / f"model-{number}" / ".lock"):
                pass
        return {
            "folders": folders,
            "found": listed,
            "listing": listing,
            "lock": (time.perf_counter() - started) / 100,
        }


def simulated(workers: int, models: int, rate: float, operations: float, minutes: float, listed: float) -> dict:
    """Hours until all is done, and what workers waited for, where one queue serves all operations in turn.

    Args:
        workers: that start together, each with a listing of the folder.
        models: of the grid, each for whoever is free first.
        rate: operations a second.
        operations: of a model, half of them before it and half after.
        minutes: a model takes, without files; lengths are log-normal, with a deviation of 0.3.
        listed: operations of the listing.
    """
    lengths = 60 * minutes * np.random.default_rng(0).lognormal(-0.045, 0.3, models)
    free, waited, ends = 0.0, 0.0, []
    queue = [(0.0, worker, "list") for worker in range(workers)]
    begun, storm = 0, 0.0
    while queue:
        now, worker, what = heapq.heappop(queue)
        start = max(now, free)
        free = start + (listed if what == "list" else operations / 2) / rate
        waited += free - now
        if what == "list":
            storm = max(storm, free)
        if what == "run":
            ends.append(free)
        if what == "take":
            heapq.heappush(queue, (free + lengths[begun - 1], worker, "run"))
        elif begun < models:
            begun += 1
            heapq.heappush(queue, (free, worker, "take"))
    ideal = lengths.sum() / workers
    return {
        "hours": max(ends) / 3600,
        "ideal_hours": ideal / 3600,
        "storm_s": storm,
        "waited_s_per_model": waited / models,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", type=Path, help="JSON file for the record")
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--models", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    one, disk = of_one_model(), of_this_disk(options.models)
    print(f"one model: {one['operations']}, {one['files']} files, {one['bytes'] / SMALL:.0f} KiB")
    print(f"listing {disk['folders']} folders {1000 * disk['listing']:.1f} ms, a lock {1e6 * disk['lock']:.0f} µs")
    total, found = sum(one["operations"].values()), {}
    for name, rate in RATES.items():
        for entries in (1, 1000):
            listed = options.models / entries
            key = f"{name}, {rate} a second, {entries} entries a listing operation"
            found[key] = simulated(options.workers, options.models, rate, total, options.minutes, listed)
            print(key + ": " + ", ".join(f"{what} {value:.2f}" for what, value in found[key].items()), flush=True)
    if options.save:
        told = {"command": " ".join(["python", *sys.argv]), "provenance": provenance()}
        write_json(options.save, told | {"one_model": one, "disk": disk, "simulated": found})


if __name__ == "__main__":
    main()

"""Two hundred tiny models of one study in a process per core: models a minute, and what each process holds.

    python -m benchmarks.many_cells --save benchmarks/records/many_cells.json

The command is the one that a user gives, with a study of one-epoch networks on spheres. Linux says under /proc what
the command and its workers hold, which is looked at each second.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.leaks import cells_of
from eval.records.provenance import provenance
from eval.records.store import write_json

SETTLED = 20
"""Models after which memory should not grow any more."""
MIB = 2**20


def family(parent: int) -> list[int]:
    """A process and all that come from it."""
    found = [parent]
    for task in Path(f"/proc/{parent}/task").glob("*/children"):
        for child in task.read_text(encoding="ascii").split():
            found += family(int(child))
    return found


def held(process: int) -> dict[str, float]:
    """MiB of memory and open files of a process."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    mib = pages * os.sysconf("SC_PAGE_SIZE") / MIB
    return {"mib": mib, "files": len(os.listdir(f"/proc/{process}/fd"))}


def looked_at(command: subprocess.Popen, out: Path) -> Iterator[dict]:
    """Each second: seconds since the start, models that are measured, and what each process holds."""
    started = time.perf_counter()
    while command.poll() is None:
        processes = {}
        for process in family(command.pid):
            try:
                processes[process] = held(process)
            except (FileNotFoundError, ProcessLookupError, PermissionError):  # it has ended
                continue
        done = len({file.parent for file in out.rglob("accuracy*.json")})
        yield {"seconds": time.perf_counter() - started, "done": done, "processes": processes}
        time.sleep(1)


def run(folder: Path, models: int, jobs: int) -> tuple[list[dict], int, str]:
    """All looks at the study, the status that it ended with, and the end of what it said."""
    cells_of(folder, models)
    out, said = folder / "out", folder / "said.txt"
    words = ["study", str(folder / "many.yaml"), "--out", str(out), "--jobs", str(jobs)]
    with said.open("w", encoding="utf-8") as file:
        command = subprocess.Popen([sys.executable, "-m", "eval.cli", *words], stdout=file, stderr=file)
        looks = [*looked_at(command, out)]
    return looks, command.returncode, said.read_text(encoding="utf-8")[-500:]


def growth(looks: list[dict], models: int) -> dict[str, dict[str, float]]:
    """What each process held after `SETTLED` models, before the last, and at most; reports are written after that."""
    steady = [look["processes"] for look in looks if SETTLED <= look["done"] < models]
    found = {}
    for number, process in enumerate(steady[0]):
        its = [processes[process] for processes in steady if process in processes]
        for what in ("mib", "files"):
            values = [one[what] for one in its]
            name = "command" if number == 0 else f"process {number}"
            found[f"{name}, {what}"] = {"first": values[0], "last": values[-1], "most": max(values)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", type=Path, help="JSON file for the record")
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        looks, status, said = run(Path(folder), options.models, options.jobs)
        seconds, found = time.perf_counter() - started, growth(looks, options.models)
    print(
        f"{options.models} models in {seconds:.0f} s, {60 * options.models / seconds:.1f} a minute, status {status}"
    )
    for name, values in found.items():
        print(f"{name:20}" + ", ".join(f"{what} {value:.0f}" for what, value in values.items()))
    if status:
        raise RuntimeError(said)
    if options.save:
        sizes = f"--models {options.models} --jobs {options.jobs}"
        told = {"command": f"python -m benchmarks.many_cells {sizes} --save {options.save}"}
        told |= {"provenance": provenance("cpu"), "load_average": os.getloadavg()[2]}
        told |= {"models": options.models, "jobs": options.jobs, "failures": 0, "seconds": seconds}
        write_json(options.save, told | {"models_per_minute": rate, "held": found})


if __name__ == "__main__":
    main()

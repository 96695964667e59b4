"""Two hundred tiny models in a pool of one process per core: minutes, failures, and what each process holds.

    python -m benchmarks.many_cells --save benchmarks/records/many_cells.json

The study is that of `benchmarks/leaks.py`, run by `alphadx study` in a process of its own. Meanwhile memory and open
files of that process and of its workers are counted once a second. Growth is that from a fifth of the time on, since
at first each loads what it needs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from benchmarks.leaks import STUDY
from eval.records.provenance import provenance
from eval.records.store import write_json

Held = dict[int, list[dict[str, float]]]
"""By process, what it held at each look."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = watched(Path(folder), given.models, given.jobs)
    print(yaml.safe_dump(found, sort_keys=False))
    if given.save:
        command = " ".join(["python -m benchmarks.many_cells", *sys.argv[1:]])
        write_json(given.save, {"command": command, "provenance": provenance("cpu")} | found)


def watched(folder: Path, models: int, jobs: int) -> dict[str, object]:
    """What a study takes and leaves."""
    file, out = folder / "many.yaml", folder / "out"
    recipes = {"recipes": {"B": {}}, "seeds": list(range(models))}
    file.write_text(yaml.safe_dump(STUDY | {"experiments": {"Spheres4": recipes}}), encoding="utf-8")
    command = [sys.executable, "-m", "eval.cli", "study", str(file), "--out", str(out), "--jobs", str(jobs)]
    started = time.perf_counter()
    with (folder / "told").open("w", encoding="utf-8") as told:
        study = subprocess.Popen(command, stdout=told, stderr=told)
        held = looked_at(study)
    seconds = time.perf_counter() - started
    trained = len([*out.rglob("best.ckpt")])
    if study.returncode or trained != models:
        log = (folder / "told").read_text(encoding="utf-8")
        raise RuntimeError(f"{trained} of {models} models, status {study.returncode}: {log}")
    parent = held.pop(study.pid)
    workers = sorted(held.values(), key=lambda looks: max(look["mib"] for look in looks))[-jobs:]
    return {
        "models": models,
        "jobs": jobs,
        "seconds": seconds,
        "seconds_per_model_and_process": seconds * jobs / models,
        "files_left": sum(path.is_file() for path in out.rglob("*")),
        "parent": grown(parent),
        "workers": [grown(worker) for worker in workers],
    }


def looked_at(study: subprocess.Popen) -> Held:
    """What a process and its children hold, once a second until it ends."""
    held: Held = {}
    while study.poll() is None:
        for pid in (study.pid, *children(study.pid)):
            if (found := counted(pid)) is not None:
                held.setdefault(pid, []).append(found)
        time.sleep(1)
    return held


def children(pid: int) -> list[int]:
    """Processes that a process has started, and those that they have."""
    try:
        own = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return own + [grandchild for child in own for grandchild in children(child)]


def counted(pid: int) -> dict[str, float] | None:
    """MiB of memory and open files of a process; None where it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        return {"mib": pages * os.sysconf("SC_PAGE_SIZE") / 2**20, "files": len(os.listdir(f"/proc/{pid}/fd"))}
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def grown(looks: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """What a process held after a fifth of its time, at the end, and at most."""
    early, late = looks[len(looks) // 5], looks[-2:][0]
    return {
        name: {"early": early[name], "late": late[name], "most": max(look[name] for look in looks)} for name in early
    }


if __name__ == "__main__":
    main()

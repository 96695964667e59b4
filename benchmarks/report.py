"""Seconds and memory of `alphadx report` over ten thousand records, part by part.

    python benchmarks/report.py --save benchmarks/records/report.json

Writes a folder of results that nobody measured (`benchmarks/synthetic_records.py`): 1,250 models with 8 records each,
and a table of outcomes beside each record. Then reads it, makes its table for pandas, and writes the report, each in
a process of its own, whose peak of memory it takes. Goals: the report within 60 seconds and 2 GB.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.synthetic_records import write_synthetic
from eval.records.provenance import provenance
from eval.records.store import Results, write_json
from eval.report import write_report

MIB = 2**20


def loaded(folder: Path) -> None:
    """Read every record."""
    Results(folder).load()


def framed(folder: Path) -> None:
    """Read every record, and make one table of them."""
    Results(folder).load().frame()


DONE = {"Results.load": loaded, "Results.load, and frame": framed, "alphadx report": write_report}


def taken(name: str, folder: Path) -> dict[str, float]:
    """Wall-clock seconds, CPU seconds and the peak of memory of one thing, in this process."""
    started, before = time.perf_counter(), time.process_time()
    DONE[name](folder)
    seconds, cpu = time.perf_counter() - started, time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**10 if sys.platform != "darwin" else MIB)
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_mib": peak}


def in_own_process(name: str, folder: Path) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.report", "--part", name, "--folder", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def sizes(folder: Path) -> dict[str, float]:
    """How much was written, and how large the page is."""
    pictures = [file.stat().st_size for file in (folder / "plots").iterdir()]
    return {
        "page_mib": (folder / "page.html").stat().st_size / MIB,
        "pictures": len(pictures),
        "pictures_mib": sum(pictures) / MIB,
    }


def measured(folder: Path, models: int, samples: int) -> dict:
    """Write the folder, and do everything with it."""
    started = time.perf_counter()
    records = write_synthetic(folder, models, samples)
    print(f"{records} records of {models} models written in {time.perf_counter() - started:.0f} s", flush=True)
    parts = {}
    for name in DONE:
        parts[name] = in_own_process(name, folder)
        told = {key: f"{value:.1f}" for key, value in parts[name].items()}
        print(
            f"{name:26}{told['seconds']:>8} s {told['cpu_seconds']:>8} s of CPU {told['peak_mib']:>8} MiB", flush=True
        )
    found = {"records": records, "models": models, "samples": samples, "parts": parts, **sizes(folder)}
    print(f"page {found['page_mib']:.1f} MiB, {found['pictures']} files of pictures {found['pictures_mib']:.1f} MiB")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", type=Path, help="JSON file for the record")
    parser.add_argument("--models", type=int, default=1250)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--part", choices=DONE, help="do this alone, with a folder that is there")
    parser.add_argument("--folder", type=Path, help="that is there")
    options = parser.parse_args()
    if options.part:
        print(json.dumps(taken(options.part, options.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), options.models, options.samples)
    if options.save:
        told = {"command": " ".join(["python", *sys.argv]), "provenance": provenance(), "report": found}
        write_json(options.save, told)


if __name__ == "__main__":
    main()

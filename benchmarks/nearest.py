"""The nearest of 100,000 generated images on disk, by sketches and by brute force, and of the real CIFAR-10's.

    python benchmarks/nearest.py --data-root DIR --save benchmarks/records/nearest.json

The generated images are 64×64 pixels of three channels in bytes, 1.2 GB in an HDF5 file that is first written to a
temporary folder. They are random fields whose power falls with the frequency as that of CIFAR-10's does (slope −2.14,
the mean seven times the lowest frequency), and ten classes differ in their mean. Fields are harder than photographs:
128 directions hold 76 % of their variance, and 93 % of CIFAR-10's. Each way works in a process of its own, whose peak
memory counts everything, libraries included. Both ways must find the same examples.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from alignment.double import exactly
from eval.records.provenance import provenance
from eval.records.store import write_json
from generators.examples import rows_by_class
from training.data import CIFAR10, LazySplit, Split
from training.data.residuals import SplitExamples, nearest_example

SIDE, CLASSES, CHUNK = 64, 10, 1000
BATCH = 100
"""Queries that are asked at a time."""


class OnDisk(LazySplit):
    """Images that lie in an HDF5 file; counts those that are read."""

    def __init__(self, path: Path) -> None:
        self.images = h5py.File(path, "r")["images"]
        super().__init__(torch.arange(len(self.images)) % CLASSES, (0.0, 1.0))
        self.read_in_all = 0

    def read(self, indices: Sequence[int]) -> Tensor:
        """Bytes."""
        self.read_in_all += len(indices)
        rows, where = np.unique(indices, return_inverse=True)  # HDF5 wants them in order, and each once
        return torch.from_numpy(self.images[rows][where])


class Counting(Split):
    """Samples in memory; counts those that are read."""

    read_in_all = 0

    def __getitems__(self, indices: Sequence[int]) -> object:
        self.read_in_all += len(indices)
        return super().__getitems__(indices)


def drawn(count: int, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Generated images in bytes, whose amplitudes fall with the frequency."""
    frequency = torch.hypot(torch.fft.fftfreq(SIDE).unsqueeze(1), torch.fft.rfftfreq(SIDE))
    frequency[0, 0] = 1 / (2.4 * SIDE)
    noise = torch.randn(count, 3, SIDE, SIDE, generator=generator)
    noise = 0.2 * noise + noise.mean(dim=1, keepdim=True)  # mostly grey
    field = torch.fft.irfft2(torch.fft.rfft2(noise) / frequency**1.07, s=(SIDE, SIDE))
    means = drawn_means()
    return (128 + 50 * (field / field.std() + means[labels])).clamp(0, 255).byte()


def drawn_means() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    coarse = torch.randn(CLASSES, 3, 4, 4, generator=generator)
    return 0.5 * torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear")


def write_images(path: Path, count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    with h5py.File(path, "w") as file:
        images = file.create_dataset("images", (count, 3, SIDE, SIDE), np.uint8)
        for start in range(0, count, CHUNK):
            labels = torch.arange(start, min(start + CHUNK, count)) % CLASSES
            images[start : start + CHUNK] = drawn(len(labels), labels, generator).numpy()


def asked(what: str, path: Path, count: int) -> tuple[Split, Tensor, Tensor]:
    """A training split, queries, and the class next to that of each."""
    if what == "generated":
        y = torch.arange(count) % CLASSES
        x = drawn(count, y, torch.Generator().manual_seed(2)).float() / 255
        return OnDisk(path), x, (y + 1) % CLASSES
    data = CIFAR10(data_root=str(path))
    train, test = data.split("train"), data.split("test").__getitems__(range(count))
    return Counting(train.images, train.labels, train.bounds), test.x, (test.y + 1) % data.num_classes


def by_brute_force(split: Split, x: Tensor, target: Tensor) -> Tensor:
    """Every example of the class, in blocks of 32 MB in float64."""
    examples, queries = SplitExamples(split), exactly(x.flatten(1))
    block, found = 2**22 // queries.shape[1], torch.empty(len(x), dtype=torch.int64)
    for c, rows in rows_by_class(examples.labels).items():
        chosen, best = target == c, torch.full((int((target == c).sum()),), torch.inf, dtype=torch.float64)
        nearest = torch.zeros(len(best), dtype=torch.int64)
        for part in rows.split(block) if len(best) else ():
            others = exactly(examples.read(part).flatten(1))
            squared, where = torch.addmm(others.square().sum(1), queries[chosen], others.T, alpha=-2).min(dim=1)
            nearest = torch.where(squared < best, part[where], nearest)
            best = torch.minimum(squared, best)
        found[chosen] = nearest
    return found


def peak() -> int:
    """Bytes of memory that this process has taken at most, as Linux tells.

    What getrusage knows would begin with the memory of the process that started this one.
    """
    return 1024 * int(Path("/proc/self/status").read_text(encoding="utf-8").split("VmHWM:")[1].split()[0])


def once(what: str, way: str, path: Path, count: int) -> dict:
    """Seconds, examples read and peak memory of one way."""
    told: dict = {"libraries_bytes": peak()}
    split, x, target = asked(what, path, count)
    told |= {"examples": len(split), "queries": count}
    estimator, started = nearest_example(split, "nearest"), time.perf_counter()
    if way == "sketches":
        told["digest"] = estimator.digest
        told["first_pass_seconds"] = time.perf_counter() - started
    before, started = split.read_in_all, time.perf_counter()
    search = estimator.rows if way == "sketches" else lambda *given: by_brute_force(split, *given)
    rows = torch.cat([search(*part) for part in zip(x.split(BATCH), target.split(BATCH), strict=True)])
    told["seconds_per_query"] = (time.perf_counter() - started) / count
    told["examples_read_per_query"] = (split.read_in_all - before) / count
    told["kept_bytes"] = sum(sketch.nbytes for sketch in estimator._survey[1].values()) if way == "sketches" else 0
    told["peak_memory_bytes"] = peak()
    return told | {"rows": rows.tolist()}


def both(what: str, path: Path, count: int) -> dict:
    """Both ways, each in a process of its own."""
    found = {}
    for way in ("sketches", "brute force"):
        command = [sys.executable, __file__, "--once", what, way, str(path), "--queries", str(count)]
        found[way] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    rows = [told.pop("rows") for told in found.values()]
    return found | {"same": float(np.mean(np.equal(*rows)))}


def show(what: str, found: dict) -> None:
    told = found["sketches"]
    print(f"\n{what}: {told['examples']:,} examples, {told['queries']} queries, {found['same']:.0%} found alike")
    print(f"{'':14}{'first pass, s':>15}{'ms/query':>10}{'read/query':>12}{'peak, GB':>10}")
    for way in ("sketches", "brute force"):
        told = found[way]
        print(
            f"{way:14}{told.get('first_pass_seconds', 0):15.1f}{1e3 * told['seconds_per_query']:10.1f}"
            f"{told['examples_read_per_query']:12.1f}{told['peak_memory_bytes'] / 1e9:10.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", help="folder that holds CIFAR-10; it is left out if not given")
    parser.add_argument("--save", type=Path, help="JSON file for the record")
    parser.add_argument("--images", type=int, default=100_000, help="that are generated")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--once", nargs=3, metavar=("WHAT", "WAY", "PATH"), help="this way alone, as JSON")
    options = parser.parse_args()
    if options.once:
        what, way, path = options.once
        print(json.dumps(once(what, way, Path(path), options.queries)))
        return
    command = " ".join(["python", *sys.argv]).replace(options.data_root or "DIR", "DIR")
    record: dict = {"command": command, "provenance": provenance()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.h5"
        write_images(path, options.images)
        record["generated"] = both("generated", path, options.queries) | {"bytes_on_disk": path.stat().st_size}
    show("generated", record["generated"])
    if options.data_root:
        record["CIFAR-10"] = both("CIFAR-10", Path(options.data_root), options.queries)
        show("CIFAR-10", record["CIFAR-10"])
    if options.save:
        write_json(options.save, record)


if __name__ == "__main__":
    main()

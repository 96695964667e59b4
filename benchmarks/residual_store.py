"""A store of a million residuals of 28×28: bytes and seconds, filled by two processes and read by four.

    python benchmarks/residual_store.py --save benchmarks/records/residual_store.json

Images are made from their numbers; the estimator is a formula, so that nearly all time is the store's own. A quarter
of a residual's pixels are not zero, about as many as where a digit and another differ, and those are as good as
random: a worst case for what compression can do. Readers begin once the store is whole; every residual that they read
is compared with the formula's. Peak memory is that of a whole process, which its libraries take most of.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor

from eval.records.provenance import provenance
from eval.records.store import write_json
from generators import ResidualStore, StoredResidual
from training.data import Batch

SHAPE = (1, 28, 28)
FEATURES = 784
READ = 10_000
"""Residuals that each reader reads at random, and in order."""
BATCH = 500
"""Residuals that are read at a time."""
TOLERANCE = 2**-10
"""Of a residual's largest value: float16 keeps ten binary digits behind the first."""


class Numbered:
    """So many images of two classes in turn, each made from its number."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        numbers = torch.as_tensor(indices)
        return Batch(images(numbers), numbers % 2, numbers)


def images(numbers: Tensor) -> Tensor:
    """Images in [0, 1] that differ in every pixel."""
    pixels, place = torch.arange(FEATURES, dtype=torch.float64), numbers.double()[:, None]
    return ((place * 0.618034 + pixels * 0.414214 * (1 + place / 7e5)) % 1).float().view(-1, *SHAPE)


class Formula:
    """Residuals that depend on the image alone."""

    name, settings, digest = "formula", {}, ""

    def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        """Zero where the image is dark."""
        return torch.where(x > 0.75, 8 * x - 7, 0.0)


def store(path: Path, count: int) -> ResidualStore:
    return ResidualStore(path, Formula(), Numbered(count), data="numbers", split="train", classes=[0, 1])


def write(count: int, path: Path) -> dict[str, float]:
    """Fill a share of the store, and wait for the rest."""
    started = time.perf_counter()
    store(path, count).fill()
    return {"seconds": time.perf_counter() - started, "peak_bytes": peak()}


def read(count: int, path: Path, number: int) -> dict[str, float]:
    """Read some residuals at random, and as many in order."""
    stored = StoredResidual(path)
    generator = torch.Generator().manual_seed(number)
    start = number * count // 8
    orders = {
        "random": torch.randint(count, (min(READ, count),), generator=generator),
        "in_order": torch.arange(start, min(start + READ, count)),
    }
    seconds = {f"{name}_seconds": reading(stored, order) / len(order) for name, order in orders.items()}
    return seconds | {"peak_bytes": peak()}


def reading(stored: StoredResidual, order: Tensor) -> float:
    """Seconds in which residuals are read.

    Raises:
        ValueError: if one is not the formula's.
    """
    seconds = 0.0
    for numbers in order.split(BATCH):
        target = 1 - numbers % 2
        started = time.perf_counter()
        found = stored.read(numbers, target)
        seconds += time.perf_counter() - started
        wanted = Formula()(images(numbers), numbers % 2, target)
        if not torch.allclose(found, wanted, rtol=0, atol=TOLERANCE * float(wanted.abs().max())):
            raise ValueError(f"Residuals should be those of the formula. Found others among {numbers.tolist()}.")
    return seconds


def peak() -> int:
    """Bytes of memory of this process at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measured(count: int, folder: Path, writers: int, readers: int) -> dict[str, object]:
    """What it takes to fill and to read a store."""
    path = folder / "store.h5"
    with get_context("spawn").Pool(writers) as pool:
        wrote = pool.map(partial(write, path=path), [count] * writers, chunksize=1)
    with get_context("spawn").Pool(readers) as pool:
        have_read = pool.map(partial(read, count, path), range(readers), chunksize=1)
    size = path.stat().st_size
    return {
        "residuals": count,
        "bytes": size,
        "bytes_per_residual": size / count,
        "fill_seconds": max(one["seconds"] for one in wrote),
        "microseconds_per_residual_filled": 1e6 * max(one["seconds"] for one in wrote) / count,
        "microseconds_per_residual_read_at_random": 1e6 * max(one["random_seconds"] for one in have_read),
        "microseconds_per_residual_read_in_order": 1e6 * max(one["in_order_seconds"] for one in have_read),
        "peak_bytes_of_a_writer": max(one["peak_bytes"] for one in wrote),
        "peak_bytes_of_a_reader": max(one["peak_bytes"] for one in have_read),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--writers", type=int, default=2)
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    found = []
    for count in given.counts:
        with tempfile.TemporaryDirectory() as folder:
            found.append(measured(count, Path(folder), given.writers, given.readers))
        print({name: f"{value:.4g}" for name, value in found[-1].items()}, flush=True)
        if given.save:
            told = {"command": " ".join(["python", *sys.argv]), "provenance": provenance("cpu")}
            write_json(given.save, told | {"writers": given.writers, "readers": given.readers, "stores": found})


if __name__ == "__main__":
    main()

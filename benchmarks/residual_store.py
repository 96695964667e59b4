"""A store of a million residuals of 1×28×28: bytes, seconds and memory, filled and read by several processes.

    python -m benchmarks.residual_store --save benchmarks/records/residual_store.json

Each image is noise made from its number, and its residual is made from the image, so that nothing can be compressed:
real residuals take less. Two processes fill the store. One reads from it in order and at random; then four read
at once while two fill another store, of a tenth. Whatever is read is compared with what the estimator returns.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor

from eval.records.provenance import provenance
from eval.records.store import write_json
from generators.store import ResidualStore, StoredResidual
from training.data import Batch

SHAPE = (1, 28, 28)
WRITERS, READERS = 2, 4
BLOCK = 2048
"""Samples that are computed and locked together, half of them for each class."""
TOGETHER = 100
"""Residuals that are read together, as a training step does."""
FACTORS = (0x9E3779B1, 0x85EBCA77, 2**32 - 1)
"""Of a hash of 32 bits, whose last is a mask."""


class Noise:
    """So many images of two classes in turn, each made from its number."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Images of noise in [0, 1)."""
        numbers = torch.as_tensor(indices, dtype=torch.int64)
        first, second, mask = FACTORS
        mixed = (numbers[:, None] * 784 + torch.arange(784)) * first & mask
        mixed = (mixed ^ (mixed >> 15)) * second & mask
        x = (mixed ^ (mixed >> 13)).float() / 2**32
        return Batch(x.view(-1, *SHAPE), numbers % 2, numbers)


class Mirrored:
    """The difference to the image's own mirror image, times the class."""

    name, settings, digest = "mirrored", {}, None

    def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        """Δ̂x, of the shape of x."""
        return (x.flip(-1) - x) * (1 + target.view(-1, 1, 1, 1))


def fill(path: Path, count: int) -> dict[str, float]:
    """Seconds, and bytes of memory at most, in which this process helps to fill a store."""
    before, started = peak(), time.perf_counter()
    ResidualStore(path, Mirrored(), Noise(count), data="Noise", split="train", classes=[0, 1], batch=BLOCK).fill()
    return {"seconds": time.perf_counter() - started, "peak_bytes": peak() - before}


def read(path: Path, count: int, how: str, seed: int = 0) -> dict[str, float]:
    """Seconds to read so many residuals, and how far one lies from what was computed, by its largest entry."""
    before, started = peak(), time.perf_counter()
    stored = StoredResidual(path)
    opened = time.perf_counter() - started
    some = torch.randperm(len(stored.labels), generator=torch.Generator().manual_seed(seed))[:count]
    seconds, error = 0.0, 0.0
    for indices in (some if how == "at random" else torch.arange(len(some))).split(TOGETHER):
        batch = Noise(len(stored.labels)).__getitems__(indices.tolist())
        started = time.perf_counter()
        found = stored.at(indices)(batch.x, batch.y, 1 - batch.y)
        seconds += time.perf_counter() - started
        error = max(error, distance(found, Mirrored()(batch.x, batch.y, 1 - batch.y)))
    return {"open_seconds": opened, "seconds": seconds, "error": error, "peak_bytes": peak() - before}


def distance(found: Tensor, expected: Tensor) -> float:
    """The largest difference, in units of the largest entry of its residual."""
    far, size = ((found - expected).flatten(1).abs().amax(1), expected.flatten(1).abs().amax(1))
    return float((far / size).max())


def peak() -> int:
    """Bytes of memory of this process at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measured(folder: Path, count: int, reads: int) -> dict:
    """Fill and read, each in processes of its own."""
    path, other = folder / "store.h5", folder / "other.h5"
    context = get_context("forkserver")  # imports once
    context.set_forkserver_preload(["eval.records.store", "generators.store", "training.data"])
    with context.Pool(WRITERS + READERS, maxtasksperchild=1) as pool:
        found = {"residuals": count, "fill": pool.starmap(fill, [(path, count)] * WRITERS, chunksize=1)}
        print(f"filled: {found['fill']}", flush=True)
        found["bytes_per_residual"] = path.stat().st_size / count
        for how in ("in order", "at random"):
            found[how] = pool.apply(read, (path, reads, how))
            print(f"{reads} {how}: {found[how]}", flush=True)
        writing = pool.starmap_async(fill, [(other, count // 10)] * WRITERS, chunksize=1)
        readers = [(path, reads, "at random", seed) for seed in range(READERS)]
        found["at_once"] = {"read": pool.starmap(read, readers, chunksize=1), "fill": writing.get()}
        print(f"at once: {found['at_once']}, {found['bytes_per_residual']:.0f} bytes per residual", flush=True)
    return found


def check(found: dict) -> None:
    """Whatever was read is what the estimator returns, but for the rounding to 11 bits."""
    errors = [one["error"] for one in (found["in order"], found["at random"], *found["at_once"]["read"])]
    if not max(errors) <= 2**-11:
        raise RuntimeError(f"Residuals that were read differ from those that were computed: by {max(errors)}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", type=Path, help="JSON file for the record")
    parser.add_argument("--residuals", type=int, default=1_000_000)
    parser.add_argument("--reads", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), options.residuals, options.reads)
    check(found)
    if options.save:
        sizes = f"--residuals {options.residuals} --reads {options.reads}"
        command = f"python -m benchmarks.residual_store {sizes} --save {options.save}"
        write_json(options.save, {"command": command, "provenance": provenance("cpu"), "store": found})


if __name__ == "__main__":
    main()

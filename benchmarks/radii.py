"""Radii of up to a million samples in bounded memory: evaluations, seconds and peak memory by the number of samples.

    python -m benchmarks.radii --save benchmarks/records/radii.json

The classifier is linear, so that nearly all time is the search's own. Each image of 28×28 is made from its number
whenever it is needed. Every number of samples is searched in a process of its own, whose peak memory is that of the
whole process less what it had taken before the search; `held` is what the images would take.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from eval import critical_radii
from eval.records.provenance import provenance
from eval.records.store import write_json
from training import pgd

SHAPE = (1, 28, 28)
FEATURES = 784


class Numbered:
    """So many images, each made from its number."""

    def __init__(self, count: int, classifier: nn.Module) -> None:
        self.count, self.classifier = count, classifier

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Never gone through: the search reads what it needs."""
        raise NotImplementedError

    def inputs(self, places: Tensor) -> Tensor:
        """Images in [0, 1] that differ in every pixel."""
        pixels, numbers = torch.arange(FEATURES, dtype=torch.float32), places.float()[:, None]
        mixed = numbers * 0.618034 + pixels * 0.414214 * (1 + numbers / 7e5)
        return (mixed % 1).view(-1, *SHAPE)

    def marks(self) -> tuple[Tensor, Tensor]:
        """Numbers, and the classes that the classifier says."""
        numbers = torch.arange(self.count)
        classes = torch.empty_like(numbers)
        with torch.no_grad():
            for part in numbers.split(2048):
                classes[part] = self.classifier(self.inputs(part)).argmax(dim=1)
        return numbers, classes


def peak() -> int:
    """Bytes of memory of this process at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def search(count: int, only: str) -> dict[str, float]:
    """Radii of so many samples, with a table of them on disk."""
    torch.manual_seed(0)
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(FEATURES, 10))
    batches = Numbered(count, classifier)
    classifier(batches.inputs(torch.arange(2048)))
    before, started = peak(), time.perf_counter()
    attack = partial(pgd, steps=2, leave_when_fooled=True)
    radii = critical_radii(classifier, batches, attack, bounds=(0.0, 1.0), only=only, resolution=0.01)
    seconds, after = time.perf_counter() - started, peak()
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "radii.csv"
        pd.DataFrame({"radius": radii.upper.numpy(), "failed_at": radii.lower.numpy()}).to_csv(
            table, index=False, encoding="utf-8"
        )
        written = table.stat().st_size
    return {
        "epsilon50": radii.epsilon50,
        "evaluations_per_sample": radii.backward_passes / count,
        "seconds": seconds,
        "peak_bytes": after - before,
        "peak_bytes_per_sample": (after - before) / count,
        "peak_bytes_with_table": peak() - before,
        "table_bytes": written,
        "held": 4.0 * FEATURES * count,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--only", default="median", choices=["median", "all"])
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    found = {}
    for count in given.counts:
        with get_context("spawn").Pool(1) as pool:
            found[f"{count}"] = pool.apply(search, (count, given.only))
        print(count, {name: f"{value:.4g}" for name, value in found[f"{count}"].items()}, flush=True)
        if given.save:
            save(given, found)


def save(given: argparse.Namespace, found: dict[str, dict[str, float]]) -> None:
    """After each number of samples, so that nothing is lost of a run that is stopped."""
    counts = " ".join(map(str, given.counts))
    command = f"python -m benchmarks.radii --counts {counts} --only {given.only} --save {given.save}"
    write_json(given.save, {"command": command, "provenance": provenance("cpu"), "samples": found})


if __name__ == "__main__":
    main()

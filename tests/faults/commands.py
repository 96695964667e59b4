"""Commands on the smallest model, and the files that they end with."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from eval.cli.command import main
from tests.faults.points import Fault, forked, points
from training import build_network

DATA = ["--data=training.data.Spheres", "--data.dimensions=4", "--data.train_size=40"]
NETWORK = ["--network=mlp", "--network-options", '{"hidden": [4]}']
MEASURED = ["--steps=2", "--limit=8", "--resolution=0.1", "--norms=[Linf]", "--figures=[]"]
EVERY = 20
"""Of the writes of pages and pictures, which are alike, only so many are made to fail."""


@dataclass(frozen=True)
class Command:
    """A command that nothing interrupted.

    Attributes:
        args: of the command, for a folder of results.
        begun: a folder that it is begun in; None for none.
        files: that it ends with, by their paths in the folder; None for what differs from run to run, as seconds do.
        points: the calls by which it wrote.
    """

    args: Callable[[Path], list[str]]
    begun: Path | None
    files: dict[Path, bytes | None]
    points: list[str]

    def run(self, out: Path, told: Path, fault: Fault | None = None) -> int:
        """Run it in a process of its own; returns its exit status."""
        if self.begun is not None and not out.exists():
            shutil.copytree(self.begun, out)
        return forked(lambda: main(self.args(out)), told, fault)

    def sample(self) -> list[int]:
        """The first and the last write, every one of a record, and some of pages and pictures."""
        last = len(self.points) - 1
        return [
            at for at, one in enumerate(self.points) if at in (0, last) or at % EVERY == 0 or _is_one_of_a_kind(one)
        ]


def _is_one_of_a_kind(point: str) -> bool:
    return "/models/" in point or ".h5" in point or "page.html" in point


def unfaulted(args: Callable[[Path], list[str]], folder: Path, begun: Path | None = None) -> Command:
    """A command, run twice to see in what two runs differ."""
    folder.mkdir()
    command = Command(args, begun, {}, [])
    if begun is not None:
        shutil.copytree(begun, folder / "first")
    command.points.extend(points(lambda: main(args(folder / "first")), folder / "said"))
    assert command.run(folder / "second", folder / "told") == 0
    first, second = found(folder / "first"), found(folder / "second")
    assert first.keys() == second.keys()
    command.files.update({path: content if content == second[path] else None for path, content in first.items()})
    return command


def found(out: Path) -> dict[Path, bytes | None]:
    """All files of a folder, but for locks."""
    return {
        path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name != ".lock"
    }


def assert_same_files(command: Command, out: Path, point: str) -> None:
    """Nothing is lost, nothing is left over, and what does not differ from run to run is the same."""
    left = found(out)
    assert left.keys() == command.files.keys(), point
    assert [path for path, content in command.files.items() if content not in (None, left[path])] == [], point


def measuring(folder: Path) -> Command:
    """`measure` of a network that knows nothing."""
    torch.save(build_network("mlp", (4,), 2, hidden=[4]).state_dict(), folder / "net.pt")

    def args(out: Path) -> list[str]:
        kept = [f"--keep-adversarial={out / 'kept.h5'}", f"--out={out}", "--quiet"]
        return ["measure", str(folder / "net.pt"), *DATA, *NETWORK, *MEASURED, *kept]

    return unfaulted(args, folder / "measure")


def storing(folder: Path) -> Command:
    """`residuals` of two blocks for each class."""
    options = ["--split=test", "--limit=6", "--batch=3", "--quiet"]
    return unfaulted(
        lambda out: ["residuals", "exact", *DATA, *options, f"--out={out / 'r.h5'}"], folder / "residuals"
    )


def reporting(folder: Path, study: Path) -> Command:
    """`report` of a study that is there."""
    return unfaulted(lambda out: ["report", str(out), "--quiet"], folder / "report", study)

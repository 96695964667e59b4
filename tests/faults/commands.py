"""Commands on the smallest model, and the files that they end with."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch
from matplotlib.figure import Figure

from eval.cli.command import main
from tests.faults.points import Fault, forked, points
from training import build_network

DATA = ["--data=training.data.Spheres", "--data.dimensions=4", "--data.train_size=40"]
NETWORK = ["--network=mlp", "--network-options", '{"hidden": [4]}']
MEASURED = ["--steps=2", "--limit=8", "--resolution=0.1", "--norms=[Linf]", "--figures=[]"]
EVERY = 10
"""Of the writes that are alike, one in so many is made to fail."""


@dataclass(frozen=True)
class Command:
    """A command that nothing interrupted.

    Attributes:
        args: of the command, whose results lie in `out` in the current folder, so that pages name no other.
        begun: a folder that it is begun in; None for none.
        files: that it ends with, by their paths in the folder; None for what differs from run to run, as seconds do.
        points: the calls by which it wrote.
    """

    args: list[str]
    begun: Path | None
    files: dict[Path, bytes | None]
    points: list[str]

    def run(self, folder: Path, fault: Fault | None = None) -> int:
        """Run it in a folder, in a process of its own; returns its exit status."""
        self.begin(folder)
        return forked(lambda: self.work(folder), folder / "told", fault)

    def begin(self, folder: Path) -> None:
        """Make the folder, and what the command is begun with."""
        folder.mkdir(exist_ok=True)
        if self.begun is not None and not (folder / "out").exists():
            shutil.copytree(self.begun, folder / "out")

    def work(self, folder: Path) -> None:
        """Run it here, in a process that is for nothing else.

        Pictures, which take longest, are drawn in memory, and every second is 0: printed, it may else be the same in
        two runs by chance, and another one in the next.
        """
        os.chdir(folder)
        time.perf_counter = lambda: 0.0
        Figure.savefig = _saved_at_once
        Figure.get_layout_engine = lambda figure: None
        main(self.args)

    def sample(self) -> list[int]:
        """The first and the last write, all of a record, a store and the page, and some of the others."""
        last = len(self.points) - 1
        return [
            at for at, one in enumerate(self.points) if at in (0, last) or at % EVERY == 0 or _is_one_of_a_kind(one)
        ]


def _saved_at_once(figure: Figure, buffer: IO[bytes], **options: object) -> None:
    buffer.write(b'<svg xmlns="http://www.w3.org/2000/svg"/>')


def _is_one_of_a_kind(point: str) -> bool:
    return any(part in point for part in ("/accuracy", ".h5", "page.html"))


def unfaulted(args: list[str], folder: Path, begun: Path | None = None) -> Command:
    """A command, run twice to see in what two runs differ."""
    folder.mkdir()
    command = Command(args, begun, {}, [])
    command.begin(folder / "first")
    command.points.extend(points(lambda: command.work(folder / "first"), folder / "said"))
    assert command.run(folder / "second") == 0
    first, second = (found(folder / name / "out") for name in ("first", "second"))
    assert first.keys() == second.keys()
    command.files.update({path: content if content == second[path] else None for path, content in first.items()})
    return command


def found(out: Path) -> dict[Path, bytes | None]:
    """All files of a folder, but for locks."""
    files = [path for path in out.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path.relative_to(out): path.read_bytes() for path in files}


def assert_same_files(command: Command, folder: Path, point: str) -> None:
    """Nothing is lost, nothing is left over, and what does not differ from run to run is the same."""
    left = found(folder / "out")
    assert left.keys() == command.files.keys(), point
    assert [path for path, content in command.files.items() if content not in (None, left[path])] == [], point


def measuring(folder: Path) -> Command:
    """`measure` of a network that knows nothing."""
    network = folder / "net.pt"
    torch.save(build_network("mlp", shape=(4,), num_classes=2, hidden=[4]).state_dict(), network)
    kept = ["--keep-adversarial=out/kept.h5", "--out=out", "--quiet"]
    return unfaulted(["measure", str(network), *DATA, *NETWORK, *MEASURED, *kept], folder / "measure")


def storing(folder: Path) -> Command:
    """`residuals` of two blocks for each class."""
    options = ["--split=test", "--limit=6", "--batch=3", "--quiet"]
    return unfaulted(["residuals", "exact", "out/r.h5", *DATA, *options], folder / "residuals")


def reporting(folder: Path, study: Path) -> Command:
    """`report` of a study that is there."""
    return unfaulted(["report", "out", "--quiet"], folder / "report", study)

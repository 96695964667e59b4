"""A task, as a worker does it."""

import logging
import os
import socket
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import torch

from alignment.version import __version__
from eval.fit.telling import LOGGERS
from eval.progress.workers import reported
from eval.studies.tasks import Done, Task
from generators.progress import Stage

CARRIED = ("ALPHADX_",)
"""How the names of variables begin that a worker on another machine is given."""


def done(task: Task, told: Path | None = None) -> Mapping[str, Done]:
    """Do a task, and say how far it is: in a folder that another process reads, if one is named."""
    file = None if told is None else told / f"{_called(task)}.json"
    with reported(Stage(", ".join(task.names), len(task.names), ""), file):
        return task.do()


def wholly_done(task: Task, told: Path | None = None) -> Mapping[str, Done]:
    """Do a task, and then what is left to be done of its models."""
    found = dict(done(task, told))
    for name, part in found.items():
        for rest in part.rest:
            part = part + wholly_done(rest, told)[name]
        found[name] = replace(part, rest=())
    return found


@dataclass(frozen=True)
class Away:
    """A task that is done on another machine, with what it must find there.

    Attributes:
        task: to be done.
        told: folder in which it says how far it is; the worker must see it.
        threads: that it computes with.
        folder: the current one of whoever sends it, where a user's own classes may lie.
        environment: variables that the worker is given.
        version: of whoever sends it.
    """

    task: Task
    told: Path
    threads: int = 1
    folder: str = field(default_factory=os.getcwd)
    environment: Mapping[str, str] = field(default_factory=lambda: _environment())
    version: str = __version__

    def __call__(self) -> Mapping[str, Done]:
        """Do it.

        Raises:
            ValueError: if this machine has another version, or does not see the folder of results.
        """
        self._check()
        os.environ.update(self.environment)
        if Path(self.folder).is_dir():
            os.chdir(self.folder)
            sys.path += {self.folder} - {*sys.path}
        quiet(self.threads)
        return done(self.task, self.told)

    def _check(self) -> None:
        here = socket.gethostname()
        if self.version != __version__:
            raise ValueError(
                f"the worker on {here} should have alphadx {self.version}, as the command has. Found {__version__}. "
                "Install the same there."
            )
        if not self.told.is_dir():
            raise ValueError(
                f"the worker on {here} should see the folder of results. Found no {self.told}. Name an --out on a "
                "file system that all machines share."
            )


def _called(task: Task) -> str:
    """A name that a task which is done again has again."""
    return sha256(repr(task).encode()).hexdigest()[:16]


def _environment() -> dict[str, str]:
    """Variables of ours; a folder of data, which all machines must see, by its whole path."""
    found = {name: value for name, value in os.environ.items() if name.startswith(CARRIED)}
    if root := found.get("ALPHADX_DATA"):
        found["ALPHADX_DATA"] = str(Path(root).absolute())
    return found


def quiet(threads: int | None = None) -> None:
    """Silence but for errors and, in a worker, its share of the cores."""
    if threads is not None:
        torch.set_num_threads(threads)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", category=FutureWarning)
    # Torch's thread of backward passes says so when it first uses a GPU.
    warnings.filterwarnings("ignore", "Attempting to run cuBLAS")

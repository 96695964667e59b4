"""Work on a Ray cluster."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from eval.studies.engines.engine import Crew, Result
from eval.studies.engines.reaching import check_reachable
from eval.studies.engines.room import lacking, say_lacking
from eval.studies.engines.telling import told_in
from eval.studies.engines.termination import Termination
from eval.studies.engines.worker import Away
from eval.studies.tasks import Done, Task

LOCAL = "local"
"""Starts Ray on this machine, and ends it with the work."""
LOST = "its worker was lost {times} times, perhaps for want of memory. Start again, with more --cpus or fewer --jobs."
OTHER = "Version mismatch:"
"""How Ray begins to say that a cluster runs another Ray or Python."""
ALIVE = 5.0
"""Seconds after which the work asks whether it has been interrupted."""


@dataclass(frozen=True)
class Ray:
    """A Ray cluster; every task is one of Ray's.

    Args:
        folder: of results, seen by all machines under the same path.
        address: "auto" for the cluster that this machine is in, "local" for a new one of this machine alone, or the
            address of one, such as ray://head:10001.
        cpus: per task, and threads that it computes with.
        gpus: per task, or a part of one; with 0 a task sees none.
        jobs: tasks at a time; None for as many as there is room for.
        retries: of a task whose worker was lost.

    Raises:
        ValueError: if a number is out of range.
        ModuleNotFoundError: if Ray is not installed.
    """

    folder: Path
    address: str = "auto"
    cpus: float = 1.0
    gpus: float = 0.0
    jobs: int | None = None
    retries: int = 3
    apart = True

    def __post_init__(self) -> None:
        check_resources(self.cpus, self.gpus)
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise ValueError(f"`gpus` above 1 should be a whole number. Found {self.gpus}.")
        _ray()

    @contextmanager
    def crew(self) -> Iterator[Crew]:
        """Workers of the cluster; tasks that are not done where the block is left are cancelled."""
        ray = _ray()
        mine, termination = not ray.is_initialized(), Termination()
        try:
            if mine:
                _connect(ray, self.address)
                termination.heed()
            if self.address == LOCAL and (lack := self.lacking()):
                raise ValueError(f"`cpus` and `gpus` should be what this machine has. There is {lack}.")
            with told_in(self.folder) as told:
                crew = RayCrew(self, told)
                try:
                    yield crew
                finally:
                    crew.cancel()
        except KeyboardInterrupt as error:
            raise (termination.raised or error) from None
        finally:
            if mine:
                ray.shutdown()
                termination.leave()

    def lacking(self) -> str:
        """What a task needs that no machine of the cluster has now; nothing where one has it."""
        return lacking(_ray().nodes(), self.cpus, self.gpus)


class RayCrew:
    """Tasks on a cluster."""

    def __init__(self, engine: Ray, told: Path) -> None:
        self.engine, self.told, self.most = engine, told, engine.jobs
        self._ray = _ray()
        options = {"num_cpus": engine.cpus, "num_gpus": engine.gpus, "max_retries": engine.retries}
        self._remote = self._ray.remote(**options)(_done)
        self._waiting: dict[Any, int] = {}

    def send(self, tasks: Mapping[int, Task]) -> None:
        """Hand tasks over to Ray."""
        threads = max(1, int(self.engine.cpus))
        for number, task in tasks.items():
            named = self._remote.options(name=", ".join(task.names))
            self._waiting[named.remote(Away(task, self.told, threads))] = number

    def ended(self) -> Iterator[tuple[int, Result]]:
        """What has ended."""
        ready: list[Any] = []
        while not ready:
            ready, _ = self._ray.wait([*self._waiting], timeout=ALIVE)
            say_lacking(self.told, "" if ready else self.engine.lacking())
        for reference in ready:
            yield self._waiting.pop(reference), partial(self._result, reference)

    def _result(self, reference: Any) -> Mapping[str, Done]:
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            raise error.cause from None
        except errors.RayError as error:
            raise ValueError(LOST.format(times=self.engine.retries + 1)) from error

    def cancel(self) -> None:
        """End what is not done; what it writes appears whole or not at all."""
        for reference in self._waiting:
            self._ray.cancel(reference, force=True)


def check_resources(cpus: float, gpus: float) -> None:
    """Refuse resources that no task can have.

    Raises:
        ValueError: if `cpus` is not above 0, or `gpus` is negative.
    """
    if not cpus > 0:
        raise ValueError(f"`cpus` should be above 0. Found {cpus}.")
    if not gpus >= 0:
        raise ValueError(f"`gpus` should be at least 0. Found {gpus}.")


def _done(away: Away) -> Mapping[str, Done]:
    """Runs in a worker of the cluster."""
    return away()


def _connect(ray: Any, address: str) -> None:
    """Join a cluster, or start one; Ray tells nobody of it.

    Raises:
        ValueError: if there is none, or it runs other versions of Ray or Python.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # a task without GPUs sees none
    options: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
    try:
        check_reachable(address)
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (OSError, ValueError, RuntimeError) as error:
        if OTHER in str(error):
            told = " ".join(str(error).partition(OTHER)[2].split())
            raise ValueError(f"`ray` should be a cluster of the same versions. {told}. Install the same.") from error
        raise ValueError(
            f"`ray` should be the address of a running cluster. Found none at {address!r}. Start one with `ray start "
            "--head`, or name `--ray local` for this machine alone."
        ) from error


def _ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("`--ray` needs Ray: pip install 'alphadx[ray]'.", name="ray") from error
    return ray

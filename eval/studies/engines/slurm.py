"""Work in an array of Slurm's, through submitit."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from eval.studies.engines.engine import Crew, Result
from eval.studies.engines.ray_cluster import check_resources
from eval.studies.engines.telling import told_in
from eval.studies.engines.worker import Away
from eval.studies.tasks import Done, Task

CLUSTERS = ("slurm", "local", "debug")
"""What submitit calls them; "local" is processes of this machine, to try things out."""
LOGS = "slurm"
"""Folder in the one of results for what submitit keeps of each job."""
OFTEN = 0.5
"""Seconds between two looks at the jobs."""


@dataclass(frozen=True)
class Slurm:
    """A Slurm cluster; the tasks are one array of jobs.

    Args:
        folder: of results, seen by all machines under the same path.
        cluster: "slurm", or "local" for processes of this machine.
        cpus: per task, and threads that it computes with.
        gpus: per task.
        jobs: tasks at a time; None for as many as the cluster runs.
        retries: of a task whose job was ended from outside.
        options: of submitit, such as `{"slurm_partition": "gpu", "timeout_min": 120}`.

    Raises:
        ValueError: if a number is out of range.
        ModuleNotFoundError: if submitit is not installed.
    """

    folder: Path
    cluster: str = "slurm"
    cpus: float = 1.0
    gpus: float = 0.0
    jobs: int | None = None
    retries: int = 3
    options: Mapping[str, Any] = field(default_factory=dict)
    apart = False

    def __post_init__(self) -> None:
        check_resources(self.cpus, self.gpus)
        if self.cluster not in CLUSTERS:
            raise ValueError(f"`slurm` should be one of {', '.join(CLUSTERS)}. Found {self.cluster!r}.")
        for name, number in (("cpus", self.cpus), ("gpus", self.gpus)):
            if number != int(number):
                raise ValueError(f"`{name}` should be a whole number with Slurm. Found {number}.")
        _submitit()

    @contextmanager
    def crew(self) -> Iterator[Crew]:
        """Jobs; those that are not done where the block is left are cancelled."""
        with told_in(self.folder) as told:
            crew = SlurmCrew(self, told)
            try:
                yield crew
            finally:
                crew.cancel()


class SlurmCrew:
    """Jobs of an array."""

    def __init__(self, engine: Slurm, told: Path) -> None:
        self.engine, self.told = engine, told
        self.most: int | None = None
        self._executor = _executor(engine)
        self._waiting: dict[int, tuple[Any, Away, int]] = {}

    def send(self, tasks: Mapping[int, Task]) -> None:
        """Submit tasks together."""
        threads = int(self.engine.cpus)
        self._submit({number: (Away(task, self.told, threads), 0) for number, task in tasks.items()})

    def _submit(self, work: Mapping[int, tuple[Away, int]]) -> None:
        if not work:
            return
        jobs = self._executor.map_array(_done, [away for away, _ in work.values()])
        for (number, (away, tried)), job in zip(work.items(), jobs, strict=True):
            self._waiting[number] = (job, away, tried)

    def ended(self) -> Iterator[tuple[int, Result]]:
        """What has ended; a job that was ended from outside is submitted again."""
        while not (ready := [number for number, (job, *_) in self._waiting.items() if job.done()]):
            time.sleep(OFTEN)
        for number in ready:
            job, away, tried = self._waiting.pop(number)
            if job.exception() is not None and _is_lost(job) and tried < self.engine.retries:
                self._submit({number: (away, tried + 1)})
            else:
                yield number, partial(_result, job)

    def cancel(self) -> None:
        """End what is not done; what it writes appears whole or not at all."""
        for job, *_ in self._waiting.values():
            job.cancel(check=False)


def _executor(engine: Slurm) -> Any:
    submitit = _submitit()
    executor = submitit.AutoExecutor(folder=engine.folder.absolute() / LOGS, cluster=engine.cluster)
    settings: dict[str, Any] = {"name": "alphadx", "cpus_per_task": int(engine.cpus)}
    if engine.gpus:
        settings["gpus_per_node"] = int(engine.gpus)
    if engine.jobs is not None:
        settings["slurm_array_parallelism"] = engine.jobs
    try:
        executor.update_parameters(**settings | dict(engine.options))
    except (NameError, TypeError, ValueError, AssertionError) as error:
        raise ValueError(
            f"`slurm_options` should be options of submitit. Found {dict(engine.options)}: {error}"
        ) from error
    return executor


def _done(away: Away) -> Mapping[str, Done]:
    """Runs in a job; what a task raises comes back as it is."""
    return away()


def _is_lost(job: Any) -> bool:
    """Whether a job has ended without a word, as one does that was killed."""
    return not job.paths.result_pickle.exists()


def _result(job: Any) -> Mapping[str, Done]:
    if _is_lost(job):
        raise ValueError(f"its job was ended from outside. {job.paths.stderr} is what it said last.")
    error = job.exception()
    if error is not None:
        raise ValueError(f"{str(error).strip().splitlines()[-1]} {job.paths.stderr} is all that it said.")
    return job.results()[0]


def _submitit() -> Any:
    try:
        import submitit
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "`--slurm` needs submitit: pip install 'alphadx[slurm]'.", name="submitit"
        ) from error
    return submitit

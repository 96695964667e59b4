"""Train and measure the models of a study; what is finished is never repeated."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from eval.records.device import AUTO, chosen_device
from eval.records.store import Results
from eval.studies.cells import home_of, processes, run_cells, train_first
from eval.studies.claim import claimed
from eval.studies.engines import Engine, Here
from eval.studies.grid import Cell, ModelCell
from eval.studies.grouping import groups, on_gpu
from eval.studies.plan import Study
from eval.studies.tasks import Done, Task, failures
from eval.studies.wanted import wanted_of
from eval.studies.work import all_done

FIRST_AT_ONCE = 4
"""Trainings that come first, at most, which share a GPU where nobody says how many: most wait for the host."""


@dataclass(frozen=True)
class StudyRun:
    """A study that has been run.

    Attributes:
        results: where everything lies.
        failures: a sentence for everything that failed.
        notes: what a reader should know: results that come from another revision or another folder of data.
    """

    results: Results
    failures: list[str]
    notes: list[str]


def run_study(
    study: Study,
    folder: str | Path,
    *,
    jobs: int | None = None,
    side_by_side: int | None = None,
    device: str = AUTO,
    engine: Engine | None = None,
) -> StudyRun:
    """Train what comes first, then train and measure every model of a study that is not finished yet.

    A model that is half trained goes on from its last checkpoint; a number that is recorded is kept. Each model is
    locked while a process works on it, so the same study may be started several times on a shared file system, and
    the processes divide the work. A model that fails does not keep the others from being finished.

    Args:
        study: what to run.
        folder: for results.
        jobs: processes; None for one per two models, but no more than there are cores. With a GPU one for several
            models whose networks are too small to keep it busy, and one in all where they are not.
        side_by_side: models of equal shapes that a process trains at a time; None for one on a CPU, and as many as
            fit into the memory of a GPU, at most 16.
        device: to train and measure on, see `eval.records.device`; auto leaves trainings as they are configured.
        engine: does the work, such as a Ray cluster, see `eval.studies.engines`; None for `jobs` processes here.

    Raises:
        ValueError: if the folder holds results of another study, a file in it is damaged, `jobs` or `side_by_side`
            is below 1, the device is not there, or what comes first fails.
    """
    for name, number in (("jobs", jobs), ("side_by_side", side_by_side)):
        if number is not None and number < 1:
            raise ValueError(f"`{name}` should be at least 1. Found {number}.")
    on_gpu_here = engine is None and chosen_device(device).type == "cuda"  # a cluster's workers look for themselves
    # Workers elsewhere need not be where this process is.
    results = Results(folder if engine is None else Path(folder).absolute())
    for cell in study.cells:
        if isinstance(cell, ModelCell):
            wanted_of(cell, results.folder)  # so that what cannot be measured is refused before anything is trained
    notes = claimed(results.folder, study)
    cores = os.cpu_count() or 1
    if jobs is None and not on_gpu_here:
        jobs = max(1, min(cores, len(study.cells) // 2))
    first = [
        Task((name,), partial(train_first, name, results.folder, fit, device)) for name, fit in study.first.items()
    ]
    at_once = jobs or max(1, min(len(first), cores, FIRST_AT_ONCE))
    if told := failures(all_done(first, f"{study.name}, first", engine or Here(at_once, cores))):
        raise ValueError(" ".join(told))
    jobs = jobs or processes(study.cells, results.folder, device, cores)
    workers = engine or Here(jobs, cores)
    done: dict[str, Done] = {}
    wait = False
    while left := [cell for cell in study.cells if home_of(cell, results.folder).path.name not in done]:
        tasks = _tasks(left, results.folder, device, side_by_side, jobs, wait=wait, apart=workers.apart)
        done |= all_done(tasks, study.name, workers)
        wait = True  # for what another process works on
    said = [note for model in done.values() for note in model.notes]
    return StudyRun(results, failures(done), [*notes, *dict.fromkeys(said)])


def _tasks(
    cells: Sequence[Cell],
    folder: Path,
    device: str,
    side_by_side: int | None,
    jobs: int,
    *,
    wait: bool,
    apart: bool,
) -> list[Task]:
    """Work on the cells of a study, one task for those that are trained side by side."""
    tasks = []
    for group in groups(cells, side_by_side, device, jobs):
        names = tuple(home_of(cell, folder).path.name for cell in group)
        auto = side_by_side is None and isinstance(group[0], ModelCell) and on_gpu(group[0].fit, device)
        tasks.append(Task(names, partial(run_cells, group, folder, device, auto=auto, wait=wait, apart=apart)))
    return tasks

"""The `residuals` job: fill a store from an estimator, in as many processes as wanted."""

import pickle
import time
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch

from eval.cli.mistakes import Failed
from eval.progress import shown
from eval.progress.torchrun import is_first
from eval.records.device import AUTO, chosen_device
from eval.studies.engines import Here, engine_for
from eval.studies.tasks import Done, Task, failures
from eval.studies.work import all_done
from generators import ResidualStore, StoredResidual
from generators.progress import Stage
from training.data import DataSet, SplitName


def residuals(
    estimator: str,
    out: Path,
    data: DataSet | None = None,
    split: SplitName = "train",
    classes: list[int] | None = None,
    limit: int | None = None,
    jobs: int | None = None,
    device: str = AUTO,
    batch: int = 512,
    residual_options: dict[str, Any] | None = None,
    ray: str | None = None,
    slurm: str | None = None,
    slurm_options: dict[str, Any] | None = None,
    cpus: float = 1.0,
    gpus: float = 0.0,
) -> StoredResidual:
    """Compute an estimator's residuals Δx once, and store them.

    A killed run goes on where it stopped, and a finished store is left as it is. The same command may be started
    several times, on several machines with a common file system; they divide the work.

    Args:
        estimator: checkpoint of a generator, or a name such as "nearest", see `DataSet.residual`.
        out: file for the store, such as `mnist.h5`. It is then an estimator itself: `--residual mnist.h5`.
        data: data set, with its options as --data.data_root DIR. Must be given.
        split: of the data set.
        classes: that residuals point to; all if not given.
        limit: only that many samples, the first ones; all if not given.
        jobs: processes on this machine, one if not given.
        device: cpu, cuda, cuda:1, mps, …; auto takes a GPU where there is one; the processes take all GPUs in turn.
        batch: samples that are computed and saved together.
        residual_options: what the estimator takes, such as `'{"method": "paper"}'` for a conditional generator.
        ray: do the work on a Ray cluster, a task for each batch, as `study` does.
        slurm: do the work as jobs of Slurm, as `study` does.
        slurm_options: what submitit takes.
        cpus: of Ray or Slurm for each task.
        gpus: of Ray or Slurm for each task; a part of one, such as 0.25, with Ray.

    Returns:
        The store, open for reading.

    Raises:
        ValueError: if no data set is given, a class is not one of its classes, `jobs` is below 1, the device is not
            there, or the file holds other residuals.
        OSError: if the disk is full; filling can go on when there is space.
    """
    if data is None:
        raise ValueError("`--data` should name a data set, such as Digits or training.data.MNISTPair. Found none.")
    if out.is_dir():
        raise ValueError(f"`out` should be a file, such as {out / 'store.h5'}. Found a folder.")
    if jobs is not None and jobs < 1:
        raise ValueError(f"`jobs` should be at least 1. Found {jobs}.")
    unknown = sorted({*(classes or ())} - {*range(data.num_classes)})
    if unknown:
        raise ValueError(f"`classes` should lie in [0, {data.num_classes}), those of {data.name}. Found {unknown}.")
    away = engine_for(
        out.absolute().parent, ray=ray, slurm=slurm, slurm_options=slurm_options, cpus=cpus, gpus=gpus, jobs=jobs
    )
    # Workers of a cluster look for the device themselves, and leave no more to be done here than files to be joined.
    place = torch.device("cpu") if away else chosen_device(device)
    work = partial(
        _store,
        estimator=estimator,
        out=out.absolute(),
        split=split,
        classes=classes,
        limit=limit,
        batch=batch,
        options=residual_options or {},
    )
    recipe = pickle.dumps((data, work))  # before its samples are read, which each process does for itself
    store = work(data)
    if jobs not in (None, 1) or away is not None:
        tasks = _parts(recipe, store, [device] if away else _in_turn(place))
        if told := failures(all_done(tasks, str(out), away or Here(jobs or 1), "part")):
            raise Failed(f"{told[0]} {len(told)} of {len(tasks)} parts failed.")
    filling = Stage(str(out), store.pairs, "pair", done=store.filled)
    with shown(filling):
        stored = store.fill(place, lambda filled: setattr(filling, "done", filled))
    size = out.stat().st_size
    if is_first():  # those that torchrun starts fill it together
        print(f"{out}: {stored.pairs:,} residuals of {size / stored.pairs:,.0f} bytes, {size / 1e6:,.1f} MB")
    return stored


def _store(
    data: DataSet,
    *,
    estimator: str,
    out: Path,
    split: SplitName,
    classes: list[int] | None,
    limit: int | None,
    batch: int,
    options: dict[str, Any],
) -> ResidualStore:
    return ResidualStore(
        out,
        data.residual(estimator, **options),
        data.split(split),
        data=data.name,
        split=split,
        classes=[*range(data.num_classes)] if classes is None else classes,
        limit=limit,
        batch=batch,
    )


def _in_turn(device: torch.device) -> list[str]:
    """The GPUs of this machine, where any may be meant; else the device alone."""
    if device != torch.device("cuda"):  # one with a number stands for itself
        return [str(device)]
    return [f"cuda:{number}" for number in range(torch.cuda.device_count())]


def _parts(recipe: bytes, store: ResidualStore, devices: Sequence[str]) -> list[Task]:
    """A task for each part that is missing.

    Args:
        recipe: of the store, pickled.
        store: made of it.
        devices: names of those that compute, in turn.
    """
    tasks = []
    for number in store.missing:
        name = f"{store.path.name}, part {number + 1} of {len(store.blocks)}"
        tasks.append(Task((name,), partial(_fill, name, recipe, number, devices[number % len(devices)])))
    return tasks


def _fill(name: str, recipe: bytes, number: int, device: str) -> dict[str, Done]:
    started = time.perf_counter()
    _opened(recipe).fill_part(number, chosen_device(device))
    return {name: Done(time.perf_counter() - started, [])}


@lru_cache(maxsize=1)
def _opened(recipe: bytes) -> ResidualStore:
    """The store of a recipe, whose samples a process reads once for all parts."""
    data, work = pickle.loads(recipe)
    return work(data)

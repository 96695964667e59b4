"""The `residuals` job: fill a store from an estimator, in as many processes as wanted."""

import os
import pickle
from concurrent.futures import FIRST_EXCEPTION, wait
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from eval.progress import shown
from eval.records.device import AUTO, chosen_device
from eval.studies.processes import processes
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
    jobs: int = 1,
    device: str = AUTO,
    batch: int = 512,
    residual_options: dict[str, Any] | None = None,
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
        jobs: processes on this machine.
        device: cpu, cuda, cuda:1, mps, …; auto takes a GPU where there is one; the processes take all GPUs in turn.
        batch: samples that are computed and saved together.
        residual_options: what the estimator takes, such as `'{"method": "paper"}'` for a conditional generator.

    Returns:
        The store, open for reading.

    Raises:
        ValueError: if no data set is given, a class is not one of its classes, `jobs` is below 1, the device is not
            there, or the file holds other residuals.
        OSError: if the disk is full; filling can go on when there is space.
    """
    if data is None:
        raise ValueError("`--data` should name a data set, such as Digits or training.data.MNISTPair. Found none.")
    if jobs < 1:
        raise ValueError(f"`jobs` should be at least 1. Found {jobs}.")
    unknown = sorted({*(classes or ())} - {*range(data.num_classes)})
    if unknown:
        raise ValueError(f"`classes` should lie in [0, {data.num_classes}), those of {data.name}. Found {unknown}.")
    place = chosen_device(device)
    work = partial(
        _store,
        estimator=estimator,
        out=out,
        split=split,
        classes=classes,
        limit=limit,
        batch=batch,
        options=residual_options or {},
    )
    recipe = pickle.dumps(data)  # before its samples are read, which each process does for itself
    store = work(data)
    filling = Stage(str(out), store.pairs, "pair", done=store.filled)
    with shown(filling):
        if jobs > 1:
            _fill_at_once(partial(_fill, recipe, work), jobs, place, store, filling)
        stored = store.fill(place, lambda filled: setattr(filling, "done", filled))
    size = out.stat().st_size
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


def _fill_at_once(fill: partial[None], jobs: int, device: torch.device, store: ResidualStore, filling: Stage) -> None:
    """Let processes fill the store, and note what they have done together."""
    devices = [device] * jobs
    if device == torch.device("cuda"):  # one with a number stands for itself
        devices = [torch.device("cuda", job % max(1, torch.cuda.device_count())) for job in range(jobs)]
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with processes(jobs, get_context("spawn"), torch.set_num_threads, threads) as pool:
        waiting = {pool.submit(fill, place) for place in devices}
        while waiting:
            done, waiting = wait(waiting, timeout=1, return_when=FIRST_EXCEPTION)
            filling.done = store.filled
            for job in done:
                job.result()


def _fill(recipe: bytes, work: partial[Any], device: torch.device) -> None:
    work(pickle.loads(recipe)).fill(device)

"""Train and measure the models of a study; what is finished is never repeated."""

import json
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from filelock import FileLock
from jsonargparse import ArgumentParser
from tqdm import tqdm

from eval.fit import FitCLI, fit_from
from eval.records.measurements import standard_measurements, take
from eval.records.quality import NORM, take_quality
from eval.records.results import Model, Record, Results, provenance, write_json
from eval.studies.plan import FIRST, Cell, Study, laid_over, with_first
from training import Strength, load_classifier
from training.data import DataSet

Work = Mapping[str, Callable[[], float]]
"""What is to be done, by name; each answers the seconds it took."""
LOGGED = {"gop_frequency": "train_gop_frequency", "mu": "train_mu", "cosine": "train_cosine"}
"""What is kept of a training log, by the name of the record."""


def run_study(study: Study, folder: str | Path, *, jobs: int | None = None) -> Results:
    """Train what comes first, then train and measure every model of a study that is not finished yet.

    A model that is half trained goes on from its last checkpoint; a measurement that is recorded is kept. Each
    model is locked while a process works on it, so the same study may be started several times on a shared file
    system, and the processes divide the work.

    Args:
        study: what to run.
        folder: for results.
        jobs: processes; None for one per two models but no more than there are cores, or one with a GPU.

    Returns:
        The results.

    Raises:
        ValueError: if the folder holds results of another study.
    """
    results = Results(folder)
    _claim(results.folder, study)
    cores = os.cpu_count() or 1
    if jobs is None:
        jobs = 1 if torch.cuda.is_available() else max(1, min(cores, len(study.cells) // 2))
    first = {name: partial(train_first, name, results.folder, fit) for name, fit in study.first.items()}
    cells = {results.model_folder(cell.model).name: partial(run_cell, cell, results.folder) for cell in study.cells}
    for title, work in ((f"{study.name}, first", first), (study.name, cells)):
        finished = _in_turn(work) if jobs == 1 else _at_once(work, jobs, max(1, cores // jobs))
        with tqdm(total=len(work), unit="model", desc=title, disable=not work) as bar:
            for name, seconds in finished:
                bar.set_postfix_str(f"{name}, {seconds:.0f} s")
                bar.update()
    return results


def _in_turn(work: Work) -> Iterator[tuple[str, float]]:
    with warnings.catch_warnings():
        _quiet()
        for name, task in work.items():
            yield name, task()


def _at_once(work: Work, jobs: int, threads: int) -> Iterator[tuple[str, float]]:
    with ProcessPoolExecutor(jobs, get_context("spawn"), _quiet, (threads,)) as pool:
        waiting = {pool.submit(task): name for name, task in work.items()}
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        finally:
            pool.shutdown(cancel_futures=True)  # after a failure nothing new is begun


def train_first(name: str, folder: Path, fit: dict[str, Any]) -> float:
    """Train what models refer to as `first/NAME`, as far as that is not done yet; answer the seconds it took."""
    started = time.perf_counter()
    home = folder / FIRST / name
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / ".lock"):
        if not _mark(home).exists():
            _trained(fit_from(_configuration(fit, home)), home)
    return time.perf_counter() - started


def run_cell(cell: Cell, folder: Path) -> float:
    """Train and measure one model, as far as that is not done yet; answer the seconds it took."""
    started = time.perf_counter()
    results = Results(folder)
    home = results.model_folder(cell.model)
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / ".lock"):
        if cell.model.group == "estimators":
            _judge(cell, results)
        else:
            _train_and_measure(cell, results, home)
    return time.perf_counter() - started


def _train_and_measure(cell: Cell, results: Results, home: Path) -> None:
    settings = _resolved(cell.measure, results.folder)
    limit = settings.pop("limit", None)
    wanted = standard_measurements(**settings)
    missing = [m for m in wanted if not results.has(cell.model, m.name)]
    if not missing:
        return
    cli = FitCLI(_configuration(_resolved(cell.fit, results.folder), home))
    classifier = load_classifier(checkpoint=_trained(cli, home))
    classifier.to(cli.trainer.strategy.root_device)
    epsilon = Strength(cell.model.epsilon) if cell.model.epsilon else None
    training = cell.fit | {"epsilon": epsilon}
    for measurement in missing:
        results.write(*take(measurement, classifier, cli.datamodule, cell.model, limit=limit, training=training))
    for outcome in training_records(cell.model, home / "training", training):
        results.write(*outcome)


def _judge(cell: Cell, results: Results) -> None:
    """Measure a residual estimator."""
    if results.has(cell.model, NORM):
        return
    settings = _resolved(cell.measure, results.folder)
    data = _data(cell.fit["data"])
    judge = settings.get("judge")
    take_quality(
        results,
        data.residual(settings["residual"], **settings.get("options", {})),
        data,
        cell.model,
        judge=None if judge is None else load_classifier(checkpoint=judge),
        limit=settings.get("limit"),
        device="cuda" if torch.cuda.is_available() else "cpu",
        training=cell.measure,
    )


def _data(configuration: Mapping[str, Any]) -> DataSet:
    parser = ArgumentParser()
    parser.add_subclass_arguments(DataSet, "data")
    return parser.instantiate_classes(parser.parse_object({"data": configuration})).data


def _resolved(configuration: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A configuration in which `first/NAME` is the path of a checkpoint."""
    return with_first(configuration, lambda name: str(_best(folder / FIRST / name)))


def training_records(
    model: Model, folder: Path, training: Mapping[str, Any]
) -> Iterator[tuple[Record, pd.DataFrame]]:
    """What training logged about its gradients, if it combined them: means over epochs, with every epoch beside."""
    logs = [pd.read_csv(file) for file in sorted(folder.rglob("metrics.csv"))]
    for name, logged in LOGGED.items():
        columns = [log[["epoch", logged]].dropna() for log in logs if logged in log]
        if not columns:
            continue
        epochs = pd.concat(columns).drop_duplicates("epoch", keep="last").rename(columns={logged: name})
        settings = {"source": "training log", "samples": "epochs"}
        yield (
            Record(model, name, epochs[name].mean(), len(epochs), 0, settings, 0, 0, 0.0, training, provenance()),
            epochs,
        )


def _configuration(fit: Mapping[str, Any], home: Path) -> dict:
    """A training with everything it writes kept under its home."""
    last = home / "training" / "last.ckpt"
    logs = {"save_dir": str(home / "training"), "name": "logs"}
    logger = {"class_path": "pytorch_lightning.loggers.CSVLogger", "init_args": logs}
    return laid_over(
        fit,
        {
            "checkpoint": {"dirpath": str(home / "training")},
            "resume": str(last) if last.exists() else None,
            "trainer": {
                "default_root_dir": str(home / "training"),
                "logger": logger,
                "log_every_n_steps": 1,
                "enable_progress_bar": False,
                "enable_model_summary": False,
            },
        },
    )


def _trained(cli: FitCLI, home: Path) -> Path:
    """The best checkpoint; trains it if that has not been done."""
    if not _mark(home).exists():
        started = time.perf_counter()
        checkpoint = cli.fit()
        score = checkpoint.best_model_score
        write_json(
            _mark(home),
            {
                "best": Path(checkpoint.best_model_path).name,
                "score": None if score is None else float(score),
                "seconds": time.perf_counter() - started,
            },
        )
    return _best(home)


def _best(home: Path) -> Path:
    """The best checkpoint of a finished training."""
    return _mark(home).parent / json.loads(_mark(home).read_text())["best"]


def _mark(home: Path) -> Path:
    """What says that a training is finished."""
    return home / "training" / "trained.json"


def _claim(folder: Path, study: Study) -> None:
    """Write the study's source into the folder, or find that it is the same."""
    file = folder / "study.json"
    if not file.exists():
        content = {"name": study.name, "title": study.title, "models": len(study.cells), "source": study.source}
        write_json(file, content)
    elif json.loads(file.read_text())["source"] != json.loads(json.dumps(study.source)):
        raise ValueError(
            f"{folder} holds results of another study, or of another version of {study.name!r}. Name a new folder "
            "with --out, or remove this one."
        )


def _quiet(threads: int | None = None) -> None:
    """Silence but for errors and, in a worker, its share of the cores."""
    if threads is not None:
        torch.set_num_threads(threads)
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", category=FutureWarning)

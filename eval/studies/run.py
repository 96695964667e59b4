"""Train and measure the models of a study; what is finished is never repeated."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import partial
from inspect import signature
from io import StringIO
from pathlib import Path
from typing import Any

from filelock import FileLock
from jsonargparse import ArgumentParser

from alignment.contracts import check_choice
from eval.fit import FitCLI, fit_from
from eval.records.device import AUTO, chosen_device, trainer_on
from eval.records.measurements import check_wanted, standard_measurements
from eval.records.outcome import Measurement
from eval.records.quality import EstimatorQuality, load_judge
from eval.records.store import ModelFolder, Results
from eval.records.subject import Subject
from eval.records.taking import Sitting
from eval.studies.claim import claimed
from eval.studies.logs import training_records
from eval.studies.parsing import one_sentence
from eval.studies.plan import FIRST, EstimatorCell, ModelCell, Study, laid_over, with_first
from eval.studies.trained import best_checkpoint, is_trained, trained
from eval.studies.work import Done, all_done
from generators.checkpoints import read_checkpoint
from training import load_classifier
from training.data import DataSet


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


def run_study(study: Study, folder: str | Path, *, jobs: int | None = None, device: str = AUTO) -> StudyRun:
    """Train what comes first, then train and measure every model of a study that is not finished yet.

    A model that is half trained goes on from its last checkpoint; a number that is recorded is kept. Each model is
    locked while a process works on it, so the same study may be started several times on a shared file system, and
    the processes divide the work. A model that fails does not keep the others from being finished.

    Args:
        study: what to run.
        folder: for results.
        jobs: processes; None for one per two models but no more than there are cores, or one with a GPU.
        device: to train and measure on, see `eval.records.device`; auto leaves trainings as they are configured.

    Raises:
        ValueError: if the folder holds results of another study, a file in it is damaged, `jobs` is below 1, the
            device is not there, or what comes first fails.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"`jobs` should be at least 1. Found {jobs}.")
    works_on = chosen_device(device)
    results = Results(folder)
    for cell in study.cells:
        if isinstance(cell, ModelCell):
            _wanted(cell, results.folder)  # so that what cannot be measured is refused before anything is trained
    notes = claimed(results.folder, study)
    cores = os.cpu_count() or 1
    if jobs is None:
        jobs = 1 if works_on.type == "cuda" else max(1, min(cores, len(study.cells) // 2))
    first = {name: partial(train_first, name, results.folder, fit, device) for name, fit in study.first.items()}
    homes = [results.home(cell.model, cell.identity) for cell in study.cells]
    cells = {
        home.path.name: partial(run_cell, cell, results.folder, device)
        for home, cell in zip(homes, study.cells, strict=True)
    }
    if failures := all_done(first, f"{study.name}, first", jobs, cores):
        raise ValueError(" ".join(failures))
    return StudyRun(results, all_done(cells, study.name, jobs, cores), notes)


def _configured(make: Callable[[dict], FitCLI], configuration: dict) -> FitCLI:
    """A training, ready to begin.

    Raises:
        ValueError: in one sentence, for what the parser refuses: it prints its usage, and ends the process.
    """
    with redirect_stderr(StringIO()) as printed:
        try:
            return make(configuration)
        except SystemExit as error:
            told = one_sentence(printed.getvalue().rpartition("error: ")[2])
            raise ValueError(told or f"ended with {error.code}") from error


def train_first(name: str, folder: Path, fit: dict[str, Any], device: str = AUTO) -> Done:
    """Train what models refer to as `first/NAME`, as far as that is not done yet."""
    started = time.perf_counter()
    home = folder / FIRST / name
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / ".lock"):
        if not is_trained(home):
            trained(_configured(fit_from, _configuration(fit, home, device)), home)
        best_checkpoint(home)
    return Done(time.perf_counter() - started, [])


def run_cell(cell: ModelCell | EstimatorCell, folder: Path, device: str = AUTO) -> Done:
    """Train and measure one model, as far as that is not done yet."""
    started = time.perf_counter()
    home = Results(folder).home(cell.model, cell.identity)
    home.path.mkdir(parents=True, exist_ok=True)
    with FileLock(home.path / ".lock"):
        if isinstance(cell, EstimatorCell):
            failures = _judge(cell, home, folder, device)
        else:
            failures = _train_and_measure(cell, home, folder, device)
    return Done(time.perf_counter() - started, failures)


def _train_and_measure(cell: ModelCell, home: ModelFolder, folder: Path, device: str) -> list[str]:
    fit = _resolved(cell.fit, folder)
    cli = _configured(FitCLI, _configuration(fit, home.path, device))
    for _, wanted in _wanted(cell, folder):
        check_wanted(wanted, cli.datamodule)
    checkpoint = trained(cli, home.path)
    model = cell.fit.get("model", {})
    network = {"network": model.get("network", "small_cnn"), "options": model.get("network_options") or {}}
    classifier = load_classifier(checkpoint=checkpoint, trusted_networks=[network["network"]])
    place = cli.trainer.strategy.root_device
    classifier.to(place)
    failures: list[str] = []
    subjects: list[Subject] = []
    for limit, wanted in _wanted(cell, folder):
        sitting = Sitting.of(classifier, cli.datamodule, cell.model, limit=limit, network=network, training=cell.fit)
        failures += sitting.take_all(wanted, home).failures
        subjects.append(sitting.subject)
    for record, epochs in training_records(cell.model, subjects[0], home.path / "training", checkpoint, place):
        if home.find(record.quantity, record.subject) is None:
            home.write(record, epochs)
    return failures


def _wanted(cell: ModelCell, folder: Path) -> list[tuple[int | None, list[Measurement]]]:
    """The measurements of a model, by the number of samples that they are taken on."""
    by_limit: dict[int | None, list[Measurement]] = {}
    for settings in cell.measure:
        chosen = dict(settings)
        limit = chosen.pop("limit", None)
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise ValueError(f"`limit` should be a whole number of at least 1. Found {limit!r}.")
        resolved = with_first(chosen, lambda name: str(_first_best(folder, name)))
        wanted = by_limit.setdefault(limit, [])
        wanted += [m for m in _measurements(resolved) if m not in wanted]
    return [*by_limit.items()]


def _measurements(settings: dict[str, Any]) -> list[Measurement]:
    """The measurements that a study's `measure` names.

    Raises:
        ValueError: for a misspelt setting, or one of another type.
    """
    known = signature(standard_measurements).parameters
    for name in settings:
        check_choice(name, (*known, "limit"), "measure")
    try:
        return standard_measurements(**settings)
    except (TypeError, AttributeError) as error:
        raise ValueError(
            f"`measure` should hold what `standard_measurements` takes. Found {settings} ({error})."
        ) from error


def _judge(cell: EstimatorCell, home: ModelFolder, folder: Path, device: str) -> list[str]:
    """Measure a residual estimator."""
    asked = {"residual": cell.residual, "options": cell.options, "judge": cell.judge}
    settings = _resolved(asked, folder)
    data = _data(cell.data)
    judge = settings["judge"]
    EstimatorQuality(
        data.residual(settings["residual"], **settings["options"]),
        data,
        cell.model,
        judge=None if judge is None else load_judge(judge, data),
        limit=cell.limit,
        device=chosen_device(device),
        training=asked,
    ).measured(home)
    return []


def _data(configuration: Mapping[str, Any]) -> DataSet:
    parser = ArgumentParser()
    parser.add_subclass_arguments(DataSet, "data")
    return parser.instantiate_classes(parser.parse_object({"data": configuration})).data


def _resolved(configuration: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A configuration in which `first/NAME` is the path of a checkpoint."""
    return with_first(configuration, lambda name: str(best_checkpoint(folder / FIRST / name)))


def _first_best(folder: Path, name: str) -> Path:
    """Where the checkpoint of what is trained first lies, or will."""
    home = folder / FIRST / name
    return best_checkpoint(home) if is_trained(home) else home / "training" / "best.ckpt"


def _configuration(fit: Mapping[str, Any], home: Path, device: str) -> dict:
    """A training with everything it writes kept under its home."""
    folder = (home / "training").resolve()
    logs = {"save_dir": str(folder), "name": "logs"}
    logger = {"class_path": "pytorch_lightning.loggers.CSVLogger", "init_args": logs}
    return laid_over(
        fit,
        {
            "checkpoint": {"dirpath": str(folder)},
            "resume": _last(folder),
            "trainer": {
                "default_root_dir": str(folder),
                "logger": logger,
                "log_every_n_steps": 1,
                "enable_progress_bar": False,
                "enable_model_summary": False,
                **trainer_on(device),
            },
        },
    )


def _last(folder: Path) -> str | None:
    """The checkpoint from which a training goes on, or None.

    Raises:
        ValueError: if it is damaged, with the remedy.
    """
    last = folder / "last.ckpt"
    if not last.exists():
        return None
    try:
        read_checkpoint(last, mmap=True)
    except (ValueError, OSError) as error:
        raise ValueError(f"{last} is damaged. Remove {folder}, and the same command trains again.") from error
    return str(last)

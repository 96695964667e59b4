"""One model of a study, or several side by side: trained and measured, as far as that is not done yet."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from filelock import Timeout
from jsonargparse import ArgumentParser

from eval.fit import FitCLI, fit_from
from eval.records.device import AUTO, chosen_device, placed
from eval.records.judges import load_judges
from eval.records.measurements import check_wanted
from eval.records.outcome import Measurement
from eval.records.quality import EstimatorQuality
from eval.records.store import SHOWN, ModelFolder, Results
from eval.records.subject import Subject
from eval.records.taking import Sitting
from eval.studies.configuring import kept_under, resolved
from eval.studies.grid import Cell, EstimatorCell, ModelCell
from eval.studies.grouping import EACH, fitting, is_small, parts, shared
from eval.studies.logs import training_records
from eval.studies.overlay import FIRST
from eval.studies.rivals import NEAREST, nearest_of
from eval.studies.tasks import Done, Task, survived
from eval.studies.trained import best_checkpoint, is_trained, side_by_side, trained
from eval.studies.wanted import wanted_of
from generators.files import remove_leftovers
from generators.locks import lock
from generators.progress import Stage, stage, underway
from training import load_classifier
from training.data import DataSet
from training.side_by_side import Member, SideBySide, draws

ALONE = "Networks that draw random numbers in training, as dropout does, are trained one at a time, not side by side."


@dataclass(frozen=True)
class Trained:
    """A model that has been trained.

    Attributes:
        cli: its training, with its data set.
        checkpoint: its best epoch.
        seconds: its training took just now.
        notes: what a reader should know of it.
    """

    cli: FitCLI
    checkpoint: Path
    seconds: float
    notes: tuple[str, ...] = ()


def train_first(name: str, folder: Path, fit: dict[str, Any], device: str = AUTO) -> dict[str, Done]:
    """Train what models refer to as `first/NAME`, as far as that is not done yet."""
    started = time.perf_counter()
    home = folder / FIRST / name
    home.mkdir(parents=True, exist_ok=True)
    new = not is_trained(home)
    with lock(home / ".lock"):
        if not is_trained(home):
            trained(fit_from(kept_under(fit, home, device)), home)
        best_checkpoint(home)
    return {name: Done(time.perf_counter() - started, [], new=new)}


def home_of(cell: Cell, folder: Path) -> ModelFolder:
    """Where everything of a model lies: where another study that trains the same left it, if one did."""
    home = Results(folder).home(cell.model, cell.identity)
    if home.path.exists():  # before the folder is listed, which takes long where thousands of models lie in it
        return home
    there = sorted(home.path.parent.glob(f"*-{cell.identity[:SHOWN]}"))
    return ModelFolder(there[0]) if there else home


def run_cells(
    cells: Sequence[Cell],
    folder: Path,
    device: str = AUTO,
    *,
    auto: bool = False,
    wait: bool = False,
    apart: bool = False,
) -> dict[str, Done]:
    """Train models side by side, then measure one after the other, as far as that is not done yet.

    Args:
        cells: one, or several classifiers that share the shapes of their steps.
        folder: of the study.
        device: to train and measure on, see `eval.records.device`.
        auto: whether to train only as many at a time as fit into the memory of the GPU.
        wait: for the first one, where another process works on it; others on which one does are left out.
        apart: whether to leave measurements to others, as the rest of what is to be done.

    Returns:
        What came of each, by name, but for those that are left out.
    """
    size = _size(cells, folder, device) if auto and len(cells) > 1 else len(cells)
    done: dict[str, Done] = {}
    for number, part in enumerate(parts(cells, size)):
        done |= _run_part(part, folder, device, wait and number == 0, apart)
    return done


def _size(cells: Sequence[Cell], folder: Path, device: str) -> int:
    """How many of some cells fit into the memory of the GPU together."""
    for cell in cells:
        if not isinstance(cell, ModelCell) or is_trained(home_of(cell, folder).path):
            continue
        try:
            return fitting(_training_of(cell, folder, device), free=torch.cuda.mem_get_info()[0])
        except Exception:  # it is said when this one is trained
            continue
    return 1


def processes(cells: Sequence[Cell], folder: Path, device: str, cores: int) -> int:
    """How many processes work on some models on one GPU where nobody says.

    Several where it is the host that takes the time, since networks are small; one where it is the GPU.
    """
    kinds: dict[str, list[Cell]] = {}
    for cell in cells:
        if not is_trained(home_of(cell, folder).path):
            kinds.setdefault(shared(cell), []).append(cell)
    small = sum(len(kind) for kind in kinds.values() if _is_small(kind[0], folder, device))
    return max(1, min(cores, small // EACH))


def _is_small(cell: Cell, folder: Path, device: str) -> bool:
    try:
        return isinstance(cell, ModelCell) and is_small(_training_of(cell, folder, device))
    except Exception:  # it is said when this one is trained
        return False


def _run_part(cells: Sequence[Cell], folder: Path, device: str, wait: bool, apart: bool) -> dict[str, Done]:
    homes = [home_of(cell, folder) for cell in cells]
    with ExitStack() as stack:
        held = [home for number, home in enumerate(homes) if _locked(stack, home, wait and number == 0)]
        mine = {home.path.name: cell for home, cell in zip(homes, cells, strict=True) if home in held}
        found = _train_together(mine, folder, device)
        run = {name: partial(_run, cell, folder, device, found.get(name), apart) for name, cell in mine.items()}
        return {name: survived(model) for name, model in run.items()}


def _locked(stack: ExitStack, home: ModelFolder, wait: bool) -> bool:
    """Whether a model is this process's to work on, until the stack is left."""
    home.path.mkdir(parents=True, exist_ok=True)
    try:
        stack.enter_context(lock(home.path / ".lock", wait=wait))
    except Timeout:
        return False
    remove_leftovers(home.path)  # nobody else writes here now
    return True


def _train_together(cells: Mapping[str, Cell], folder: Path, device: str) -> dict[str, "Trained | Exception"]:
    """Train those that are not trained yet side by side, if they are several."""
    new = {
        name: cell
        for name, cell in cells.items()
        if isinstance(cell, ModelCell) and not is_trained(home_of(cell, folder).path)
    }
    if len(new) < 2:
        return {}
    group = SideBySide([partial(_train, cell, folder, device) for cell in new.values()])
    return dict(zip(new, group.run(), strict=True))


def _run(cell: Cell, folder: Path, device: str, found: "Trained | Exception | None", apart: bool) -> Done:
    """Do what is left to be done of a model, which may have been trained just now."""
    started = time.perf_counter()
    if isinstance(found, Exception):
        raise found
    home = home_of(cell, folder)
    if isinstance(cell, EstimatorCell):
        return Done(time.perf_counter() - started, _judge(cell, home, folder, device))
    before = 0.0 if found is None else found.seconds
    with stage(Stage(total=2, unit="")) as halves:  # training and measuring, as if they took as long
        halves.done = int(is_trained(home.path))
        new = not halves.done or found is not None
        found = found or _train(cell, folder, device)
        halves.done = 1
        failures, measured, rest = _measure(cell, home, folder, found, apart)
    if (group := underway()) is not None:
        group.done += 1
    tasks = tuple(Task((home.path.name,), partial(measure_one, cell, folder, device, number)) for number in rest)
    return Done(before + time.perf_counter() - started, failures, [*found.notes], new or measured, tasks)


def measure_one(cell: ModelCell, folder: Path, device: str, number: int) -> dict[str, Done]:
    """Take one measurement of a model that is trained, unless another process has taken it meanwhile."""
    started = time.perf_counter()
    home = home_of(cell, folder)
    found = _train(cell, folder, device)
    sittings = _sittings(cell, folder, found)
    sitting, measurement = [(one, m) for one, wanted in sittings for m in wanted][number]
    with lock(home.path / f".{number}.lock"), stage(sitting.progress_of([measurement], "")):
        taken = sitting.take_all([measurement], home)
    return {home.path.name: Done(time.perf_counter() - started, taken.failures, new=taken.new > 0)}


def _train(cell: ModelCell, folder: Path, device: str, member: Member | None = None) -> Trained:
    """Train a model, if that has not been done.

    Args:
        cell: the model.
        folder: of the study.
        device: to train on.
        member: runs its steps beside those of others; None where it is trained alone.
    """
    cli = _training_of(cell, folder, device)
    notes: tuple[str, ...] = ()
    for wanted in wanted_of(cell, folder):
        check_wanted(wanted.on(cli.datamodule), cli.datamodule)
    if member is not None and draws(cli.model.network, cli.datamodule.shape):
        member, notes = None, (ALONE,)
    clock = time.perf_counter if member is None else member.clock
    started = clock()
    checkpoint = trained(cli, home_of(cell, folder).path, member)
    return Trained(cli, checkpoint, clock() - started, notes)


def _training_of(cell: ModelCell, folder: Path, device: str) -> FitCLI:
    home = home_of(cell, folder).path
    return FitCLI(kept_under(resolved(cell.fit, folder, cell.model.seed), home, device))


def _measure(
    cell: ModelCell, home: ModelFolder, folder: Path, found: Trained, apart: bool
) -> tuple[list[str], bool, list[int]]:
    """Take the measurements of a model that are not recorded yet.

    Returns:
        What failed, whether anything was taken, and the numbers of what is left to others.
    """
    sittings = _sittings(cell, folder, found)
    failures: list[str] = []
    rest: list[int] = []
    new = first = 0
    for sitting, wanted in sittings:
        left = [apart and not sitting.is_recorded(measurement, home) for measurement in wanted]
        rest += [number for number, is_left in enumerate(left, first) if is_left]
        first += len(wanted)
        mine = [measurement for measurement, is_left in zip(wanted, left, strict=True) if not is_left]
        with stage(sitting.progress_of(mine, "")):
            taken = sitting.take_all(mine, home)
        failures, new = [*failures, *taken.failures], new + taken.new
    _keep_logs(cell, home, sittings[0][0].subject, found)
    return failures, new > 0, rest


def _sittings(cell: ModelCell, folder: Path, found: Trained) -> list[tuple[Sitting, Sequence[Measurement]]]:
    """A trained model with the samples that it is measured on, and what is measured there."""
    cli, model = found.cli, cell.fit.get("model", {})
    network = {"network": model.get("network", "small_cnn"), "options": model.get("network_options") or {}}
    classifier = load_classifier(checkpoint=found.checkpoint, trusted_networks=[network["network"]])
    placed(classifier, cli.trainer.strategy.root_device)
    return [
        (
            Sitting.of(
                classifier,
                cli.datamodule,
                wanted.of(cell.model),
                split=wanted.split,
                limit=wanted.limit,
                network=network,
                training=cell.fit,
            ),
            wanted.on(cli.datamodule),
        )
        for wanted in wanted_of(cell, folder)
    ]


def _keep_logs(cell: ModelCell, home: ModelFolder, subject: Subject, found: Trained) -> None:
    """Record what the log of the training tells."""
    place = found.cli.trainer.strategy.root_device
    logs, together = home.path / "training", side_by_side(home.path)
    for record, epochs in training_records(cell.model, subject, logs, found.checkpoint, together, place):
        before = home.find(record.quantity, record.subject)
        if before is None:
            home.write(record, epochs)
        else:
            home.joined(before, cell.model)


def _judge(cell: EstimatorCell, home: ModelFolder, folder: Path, device: str) -> list[str]:
    """Measure a residual estimator."""
    asked = {"residual": cell.residual, "options": cell.options, "judge": cell.judge}
    settings = resolved(asked, folder, cell.model.seed)
    data = _data(cell.data)
    nearest = nearest_of(data, cell.data)
    is_it = settings["residual"] == NEAREST and not settings["options"]
    EstimatorQuality(
        nearest if is_it else data.residual(settings["residual"], **settings["options"]),
        data,
        cell.model,
        judge=load_judges(settings["judge"], data),
        limit=cell.limit,
        device=chosen_device(device),
        training=asked,
        nearest=nearest,
    ).measured(home)
    return []


def _data(configuration: Mapping[str, Any]) -> DataSet:
    parser = ArgumentParser()
    parser.add_subclass_arguments(DataSet, "data")
    return parser.instantiate_classes(parser.parse_object({"data": configuration})).data

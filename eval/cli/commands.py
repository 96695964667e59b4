"""The jobs `fit`, `study` and `report`."""

import os
import sys
from pathlib import Path
from typing import Any

from eval.cli.mistakes import FAILED, Failed
from eval.cli.showing import fail, show
from eval.cli.terminal import shown
from eval.fit import NoBestEpoch, fit_from
from eval.measuring.folders import check_folder
from eval.progress.torchrun import is_launched
from eval.records.device import AUTO
from eval.report import write_comparison, write_report
from eval.studies import Study, catalogue, load_study, run_study
from eval.studies.catalogue import expected
from eval.studies.engines import engine_for
from eval.studies.refused import check_trainings
from eval.studies.source import FAST


def fit(config: str, *overrides: str) -> None:
    """Train a classifier or a generator from a configuration.

    A generator is trained where the configuration names its class, `model: {class_path: generators.DirectGAN, …}`.
    Everything in the configuration can be overridden; `alphadx fit --help-all` lists it. `--resume last` goes on from
    the last checkpoint.

    Args:
        config: YAML with `data`, `model` and `trainer`, whose keys are options as well.
        overrides: options in the form `--key value`.
    """
    training = fit_from([*(["--config", config] if config else []), *overrides])
    try:
        best = training.fit()
    except NoBestEpoch as error:
        if not training.trainer.is_global_zero:  # the first process tells
            sys.exit(FAILED)
        raise Failed(str(error)) from error
    if training.trainer.is_global_zero:
        print(f"best epoch by {best.monitor} on validation: {shown(best.best_model_path)}")


def study(
    name: str,
    out: Path | None = None,
    fast: bool = False,
    list: bool = False,
    data_root: Path | None = None,
    jobs: int | None = None,
    device: str = AUTO,
    side_by_side: int | None = None,
    ray: str | None = None,
    slurm: str | None = None,
    slurm_options: dict[str, Any] | None = None,
    cpus: float = 1.0,
    gpus: float = 0.0,
) -> None:
    """Train and measure a grid of data sets, recipes, ε and seeds.

    A killed run goes on where it stopped. A YAML file of your own is code: it names classes, which are imported and
    called.

    Args:
        name: a preset or the path of a YAML file, or several with commas. Those train what they share once, as do
            studies that are run one after the other into one folder.
        out: folder for everything; `runs/NAME` if not given.
        fast: the form of a preset that a CPU can finish.
        list: print the presets with what they repeat and how long they take.
        data_root: folder of data files such as MNIST's.
        jobs: processes; if not given one per core, and with a GPU one, or several for small networks.
        device: cpu, cuda, cuda:1, mps, …; auto takes a GPU where there is one. It leaves a training's own
            `trainer.accelerator` as it is.
        side_by_side: models of equal shapes that a process trains at a time. If not given one on a CPU, and on a GPU
            as many as fit into its memory, at most 16.
        ray: do the work on a Ray cluster: auto for the one that this machine is in, local for one of this machine
            alone, or an address. Its machines need alphadx and the folder of results, and `--jobs` is then how many
            tasks there are at a time.
        slurm: do the work as an array of Slurm's jobs, through submitit; local for processes of this machine.
        slurm_options: what submitit takes, such as `{slurm_partition: gpu, timeout_min: 120}`.
        cpus: of Ray or Slurm for each task.
        gpus: of Ray or Slurm for each task; a part of one, such as 0.25, with Ray.
    """
    if list:
        print(catalogue())
        return
    if not name:
        raise ValueError("`study` should be told a preset or a YAML file; `alphadx study --list` prints the presets.")
    if is_launched():
        raise ValueError(
            "`study` should be started once. Found it started by torchrun. --jobs, --ray and --slurm divide its work."
        )
    if data_root is not None:
        os.environ["ALPHADX_DATA"] = str(data_root)
    plan = load_study(name, fast=fast)
    _tell_times(plan)
    check_trainings(plan)
    folder = out or Path("runs") / plan.name
    check_folder(folder)
    engine = engine_for(folder, ray=ray, slurm=slurm, slurm_options=slurm_options, cpus=cpus, gpus=gpus, jobs=jobs)
    done = run_study(plan, folder, jobs=jobs, device=device, side_by_side=side_by_side, engine=engine)
    for note in done.notes:
        print(f"note: {note}", file=sys.stderr)
    if len(done.results.load()):
        show(write_report(folder), folder)
    fail(done.failures)


def _tell_times(plan: Study) -> None:
    """Say how long studies take that know it."""
    for part in plan.parts or (plan,):
        if "minutes" in part.source:
            takes = expected(part.source, part.name.endswith(FAST))
            print(f"note: {part.name} takes about {takes}.", file=sys.stderr)


def report(folders: list[Path], out: Path | None = None) -> None:
    """Write tables, plots and one page from records; compare folders.

    Args:
        folders: of a study or a measurement; several are compared.
        out: folder for a comparison, which leaves the folders as they are; `runs/compared-…` if not given.
    """
    if len(folders) == 1 and out is None:
        show(write_report(folders[0]), folders[0])
        return
    first, *others = [folder.resolve().name for folder in folders]
    place = out or Path("runs") / f"compared-{first}-{others[0] if len(others) == 1 else f'and-{len(others)}'}"
    show(write_comparison(folders, place), place)

"""The `alphadx` command: one word per job, and every job also a Python function."""

import logging
import os
import re
import sys
import warnings
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from jsonargparse import auto_cli
from tqdm import tqdm

from eval.cli.fill import residuals
from eval.fit import fit_from
from eval.records.measurements import standard_measurements, take
from eval.records.quality import take_quality
from eval.records.results import Model, Record, Results
from eval.report import all_tables, write_report
from eval.studies import load_study, run_study
from generators import holds_estimator
from training import load_classifier
from training.data import DataSet, SplitName


def fit(config: str, *overrides: str) -> None:
    """Train a classifier or a generator: `alphadx fit CONFIG.yaml [--model.alignment_weight 0.1 …]`.

    A generator is trained where the configuration names its class, `model: {class_path: generators.DirectGAN, …}`.
    Everything in the configuration can be overridden; `alphadx fit --help` lists it. `--resume last` goes on from
    the last checkpoint.

    Args:
        config: YAML with `data`, `model` and `trainer`, see the presets of studies for examples.
        overrides: options in the form `--key value`.
    """
    best = fit_from([*(["--config", config] if config else []), *overrides]).fit()
    print(f"best epoch by {best.monitor} on validation: {best.best_model_path}")


def measure(
    checkpoint: Path,
    data: DataSet | None = None,
    network: str | None = None,
    network_options: dict[str, Any] | None = None,
    recipe: str = "",
    split: SplitName = "test",
    limit: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    out: Path | None = None,
    judge: Path | None = None,
    residual_options: dict[str, Any] | None = None,
    **measurements: Any,
) -> list[Record]:
    """Alignment and robustness of any classifier's checkpoint, or the quality of a residual estimator's.

    Args:
        checkpoint: of a generator of ours, or a store of residuals (.h5): then its quality is measured, see
            `eval.records.quality`, and that of the nearest example beside it. Otherwise of a classifier of ours, or a
            state dict (plain, wrapped in a dict, with or without `model.` or `module.` prefixes) of the network named
            by `network`.
        data: data set, for example `--data Digits`, or `--data MNISTPair --data.data_root DIR`; must be given.
        network: a name of `training.build_network`, or the dotted path of a class; not needed for a
            checkpoint of ours.
        network_options: what the network takes.
        recipe: how the model was trained, for the table; the checkpoint's name if not given.
        split: of the data set.
        limit: only that many samples; all if not given.
        seed: of the attacks.
        device: cpu, cuda, …
        out: folder for records, table, plots and page; nothing is saved if not given.
        judge: checkpoint of a classifier of ours that had no part in the estimator's training.
        residual_options: what the estimator takes, such as `'{"method": "paper"}'` for a conditional generator.
        measurements: what to measure, as `eval.records.measurements.standard_measurements` takes it, for example
            `--attacks [pgd,square,sta,cw,autoattack] --norms [Linf,L2] --epsilons [8/255]`.

    Returns:
        The records.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if no data set is given, or the checkpoint does not fit, see `training.load_classifier`.
    """
    if data is None:
        raise ValueError("`--data` should name a data set, such as Digits or training.data.MNISTPair. Found none.")
    if not checkpoint.is_file():
        raise FileNotFoundError(f"{checkpoint}: no such checkpoint file.")
    origin: dict[str, Any] = {"checkpoint": str(checkpoint), "sha256": sha256(checkpoint.read_bytes()).hexdigest()}
    common: dict[str, Any] = {"split": split, "limit": limit}
    name = recipe or checkpoint.stem
    with TemporaryDirectory() as nowhere:
        results, records = Results(out or nowhere), []
        if holds_estimator(checkpoint):
            estimators = {
                name: data.residual(str(checkpoint), **(residual_options or {})),
                "nearest example": data.residual("nearest"),
            }
            common |= {"judge": None if judge is None else load_classifier(checkpoint=judge), "device": device}
            common |= {"seed": seed, "training": origin | {"judge": str(judge)}}
            for name, estimator in estimators.items():
                model = Model(data.name, name, seed=seed, group="estimators")
                records += take_quality(results, estimator, data, model, **common)
        else:
            named: dict[str, Any] = {}
            if network is not None:
                named = {"num_classes": data.num_classes, "shape": data.shape, "bounds": data.bounds}
            classifier = load_classifier(network, checkpoint=checkpoint, **named, **(network_options or {}))
            classifier.to(device)
            model = Model(data.name, name, seed=seed)
            common["training"] = origin | {"network": network, "network_options": network_options}
            wanted = standard_measurements(seed=seed, **measurements)
            for measurement in (bar := tqdm(wanted, unit="measurement", leave=False)):
                bar.set_description(measurement.name)
                record, per_sample = take(measurement, classifier, data, model, **common)
                results.write(record, per_sample)
                records.append(record)
        show(all_tables(results) if out is None else write_report(out), out)
    return records


def study(
    name: str,
    out: Path | None = None,
    fast: bool = False,
    data_root: Path | None = None,
    jobs: int | None = None,
) -> None:
    """Train and measure a grid of data set × recipe × ε × seed; goes on where a killed run stopped.

    Args:
        name: a preset (quick, mnist35) or the path of a YAML file.
        out: folder for everything; `runs/NAME` if not given.
        fast: the form of a preset that a CPU can finish.
        data_root: folder of data files such as MNIST's.
        jobs: processes; as many as there are cores if not given, one with a GPU.
    """
    if data_root is not None:
        os.environ["ALPHADX_DATA"] = str(data_root)
    plan = load_study(f"{name}_fast" if fast else name)
    folder = out or Path("runs") / plan.name
    run_study(plan, folder, jobs=jobs)
    show(write_report(folder), folder)


def report(folder: Path) -> None:
    """Write tables, plots and one self-contained page from saved records.

    Args:
        folder: of a study or a measurement.
    """
    show(write_report(folder), folder)


def show(tables: dict[str, pd.DataFrame], folder: Path | None) -> None:
    """Print tables, and where everything lies."""
    for heading, table in tables.items():
        print(f"\n{heading}\n{table.to_string(index=False)}")
    if folder is not None:
        print(f"\n{folder / 'page.html'}")


def main(args: list[str] | None = None) -> None:
    """Entry point of the `alphadx` command."""
    args = _spelled(sys.argv[1:] if args is None else args)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    # Lightning 2.6 asks for a class that torch is about to rename; its users cannot mend that.
    warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
    try:
        if args[:1] == ["fit"]:
            is_option = len(args) > 1 and args[1].startswith("-")
            fit(*(["", *args[1:]] if is_option else args[1:] or ["", "--help"]))
        else:
            components: Any = {
                "fit": fit,
                "residuals": residuals,
                "measure": measure,
                "study": study,
                "report": report,
            }
            auto_cli(components, args=args, prog="alphadx", as_positional=True)
    except (ValueError, OSError) as error:
        sys.exit(f"alphadx: {error}")


def _spelled(args: list[str]) -> list[str]:
    """Options may be written with hyphens, and `--fast` alone."""
    spelled = [re.sub(r"^--[^=]+", lambda name: "--" + name[0][2:].replace("-", "_"), arg) for arg in args]
    return [f"{arg}=true" if arg == "--fast" else arg for arg in spelled]

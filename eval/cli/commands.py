"""The `alphadx` command: one word per job, and every job also a Python function."""

import logging
import os
import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from inspect import signature
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, auto_cli
from torch import nn
from tqdm import tqdm

from eval.cli.export import export
from eval.cli.fill import residuals
from eval.fit import fit_from
from eval.records import EstimatorQuality, Model, Record, Results, Sitting, Taken, standard_measurements
from eval.records.device import AUTO, chosen_device, placed
from eval.records.identity import plain
from eval.records.measurements import check_wanted
from eval.records.quality import load_judge
from eval.report import Table, all_tables, write_report
from eval.studies import load_study, run_study
from eval.studies.parsing import one_sentence
from generators import holds_estimator
from generators.checkpoints import read_checkpoint
from training import load_classifier
from training.checkpoints import description_of
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
    key: str | None = None,
    recipe: str = "",
    split: SplitName = "test",
    limit: int | None = None,
    seed: int = 0,
    device: str = AUTO,
    out: Path | None = None,
    judge: Path | None = None,
    residual_options: dict[str, Any] | None = None,
    **measurements: Any,
) -> list[Record]:
    """Alignment and robustness of any classifier's checkpoint, or the quality of a residual estimator's.

    Everything that can be refused is refused before the first measurement. One that fails all the same does not
    keep the others from being made, printed and kept; the command then ends with what failed, and exit status 1.

    Args:
        checkpoint: of a generator of ours, or a store of residuals (.h5): then its quality is measured, see
            `eval.records.quality`, and that of the nearest example beside it. Otherwise of a classifier of ours, or a
            state dict (plain, wrapped in a dict, with or without `model.` or `module.` prefixes) of the network named
            by `network`.
        data: data set, for example `--data Digits`, or `--data MNISTPair --data.data_root DIR`; must be given.
        network: a name of `training.build_network`, or the dotted path of a class; not needed for a
            checkpoint of ours.
        network_options: what the network takes.
        key: which weights to take from a file with several sets, such as "ema".
        recipe: how the model was trained, for the table; several checkpoints of one recipe are repetitions of it. The
            checkpoint's name if not given.
        split: of the data set.
        limit: only that many samples; all if not given.
        seed: of the attacks.
        device: cpu, cuda, cuda:1, mps, …; auto takes a GPU where there is one.
        out: folder for records, table, plots and page, in which what is recorded is not measured again; nothing is
            saved if not given.
        judge: checkpoint of a classifier of ours that had no part in the estimator's training.
        residual_options: what the estimator takes, such as `'{"method": "paper"}'` for a conditional generator.
        measurements: what to measure, as `eval.records.measurements.standard_measurements` takes it, for example
            `--attacks [pgd,square,sta,cw,autoattack] --norms [Linf,L2] --epsilons [8/255]`.

    Returns:
        The records.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if no data set is given, the checkpoint does not fit, see `training.load_classifier`, a choice
            cannot be measured, or a measurement failed.
    """
    if data is None:
        raise ValueError("`--data` should name a data set, such as Digits or training.data.MNISTPair. Found none.")
    if not checkpoint.is_file():
        raise FileNotFoundError(f"{checkpoint}: no such checkpoint file.")
    place = chosen_device(device)
    check_folder(out)
    with TemporaryDirectory() as nowhere:
        results = Results(out or nowhere)
        if holds_estimator(checkpoint):
            _check_unused("a residual estimator", network=network, network_options=network_options, key=key)
            _check_unused("a residual estimator", **_not_default(measurements))
            taken = Taken()
            estimators = {
                recipe or checkpoint.stem: data.residual(str(checkpoint), **(residual_options or {})),
                "nearest example": data.residual("nearest"),
            }
            judging = None if judge is None else load_judge(judge, data)
            for name, estimator in estimators.items():
                rival = name == "nearest example"  # lies in no file, and is called so everywhere
                file, named = ("", True) if rival else (str(checkpoint), bool(recipe))
                model = Model(data.name, name, seed=seed, groups=("estimators",), checkpoint=file, named=named)
                quality = EstimatorQuality(estimator, data, model, judging, split, limit, place, seed)
                taken.records += quality.measured(results.home(model, estimator.digest))
        else:
            _check_unused("a classifier", judge=judge, residual_options=residual_options)
            wanted = standard_measurements(seed=seed, **measurements)
            classifier, described = _classifier(checkpoint, data, network, key, network_options or {})
            check_wanted(wanted, data)
            model = Model(
                data.name, recipe or checkpoint.stem, seed=seed, checkpoint=str(checkpoint), named=bool(recipe)
            )
            placed(classifier, place)
            sitting = Sitting.of(classifier, data, model, split=split, limit=limit, network=described)
            folder = results.home(model, sitting.subject.key)
            bar = tqdm(total=len(wanted), unit="measurement", leave=False)
            taken = sitting.take_all(wanted, folder, lambda m: bar.set_description(m.quantity(data).title))
            bar.close()
        if taken.records:
            show(all_tables(results.load()) if out is None else write_report(out), out)
        _fail(taken.failures)
        return taken.records


def _classifier(
    checkpoint: Path, data: DataSet, network: str | None, key: str | None, options: dict[str, Any]
) -> tuple[nn.Module, dict[str, Any]]:
    """A checkpoint's classifier, made for the data, and what its weights were loaded into."""
    fits: dict[str, Any] = {"num_classes": data.num_classes, "shape": data.shape, "bounds": data.bounds}
    if said := sorted(fits.keys() & options.keys()):
        raise ValueError(f"`--network-options` should leave out {', '.join(said)}: the data set says it.")
    classifier = load_classifier(network, checkpoint=checkpoint, key=key, **fits, **options)
    found = description_of(read_checkpoint(checkpoint), checkpoint) or {}
    same = network is None or found.get("network") == network
    described = found.get("options", {}) if same else {}
    return classifier, {"network": network or found["network"], "options": described | options}


def _check_unused(what: str, **options: Any) -> None:
    """Refuse options that would change nothing.

    Raises:
        ValueError: naming the first.
    """
    for name, value in options.items():
        if value:
            raise ValueError(
                f"`--{name.replace('_', '-')}` should be left out where {what} is measured. Found {value}."
            )


def _not_default(measurements: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody chose among the arguments of `standard_measurements`."""
    usual = {name: p.default for name, p in signature(standard_measurements).parameters.items()}
    return {name: value for name, value in measurements.items() if plain(value) != plain(usual[name])}


def check_folder(out: Path | None) -> None:
    """Refuse a folder for results that cannot be written to, before anything is measured.

    Raises:
        ValueError: if it is a file.
        OSError: if it cannot be made or written to.
    """
    if out is None:
        return
    if out.exists() and not out.is_dir():
        raise ValueError(f"`--out` should be a folder. Found the file {out}.")
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=out):
        pass


def _fail(failures: Sequence[str]) -> None:
    """Say what failed, and let the command end with it.

    Raises:
        ValueError: with every sentence, if there is one.
    """
    if failures:
        raise ValueError("\n  ".join([f"{len(failures)} failed, all else was finished:", *failures]))


def study(
    name: str,
    out: Path | None = None,
    fast: bool = False,
    data_root: Path | None = None,
    jobs: int | None = None,
    device: str = AUTO,
    side_by_side: int | None = None,
) -> None:
    """Train and measure a grid of data set × recipe × ε × seed; goes on where a killed run stopped.

    A YAML file of your own is code: it names classes, which are imported and called.

    Args:
        name: a preset (quick, mnist35) or the path of a YAML file.
        out: folder for everything; `runs/NAME` if not given.
        fast: the form of a preset that a CPU can finish.
        data_root: folder of data files such as MNIST's.
        jobs: processes; as many as there are cores if not given, one with a GPU.
        device: to train and measure on: cpu, cuda, cuda:1, mps, …; auto takes a GPU where there is one, and leaves
            a training's own `trainer.accelerator` as it is.
        side_by_side: models of equal shapes that a process trains at a time; if not given one on a CPU, and on a GPU
            as many as fit into its memory, at most 16.
    """
    if data_root is not None:
        os.environ["ALPHADX_DATA"] = str(data_root)
    plan = load_study(f"{name}_fast" if fast else name)
    folder = out or Path("runs") / plan.name
    check_folder(folder)
    done = run_study(plan, folder, jobs=jobs, device=device, side_by_side=side_by_side)
    for note in done.notes:
        print(f"note: {note}", file=sys.stderr)
    if len(done.results.load()):
        show(write_report(folder), folder)
    _fail(done.failures)


def report(folder: Path) -> None:
    """Write tables, plots and one self-contained page from saved records.

    Args:
        folder: of a study or a measurement.
    """
    show(write_report(folder), folder)


def show(tables: Mapping[str, Table], folder: Path | None) -> None:
    """Print tables, and where everything lies."""
    for heading, table in tables.items():
        print(f"\n{heading}\n{table}")
    if folder is not None:
        print(f"\n{folder / 'page.html'}")


def main(args: list[str] | None = None) -> None:
    """Entry point of the `alphadx` command."""
    args = _spelled(sys.argv[1:] if args is None else args)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that has no ε must not end a measurement
            stream.reconfigure(errors="replace")
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
                "export": export,
            }
            auto_cli(components, args=args, prog="alphadx", as_positional=True, parser_class=OneSentence)
    except KeyboardInterrupt:
        sys.exit("alphadx: interrupted; the same command goes on where it stopped.")
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"alphadx: {_sentence(error)}")


class OneSentence(ArgumentParser):
    """A parser that refuses in one sentence, where jsonargparse prints its usage and a tree of types."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Refuse."""
        raise ValueError(f"{one_sentence(message).rstrip('.')}. See `{self.prog} --help`.") from ex


def _sentence(error: Exception) -> str:
    """What an error says, and what it is where torch raised it."""
    told = str(error)
    if "Does not validate against" in told:  # jsonargparse wraps what a data set says of its arguments
        told = one_sentence(told)
    return told if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {told}"


def _spelled(args: list[str]) -> list[str]:
    """Options may be written with hyphens, and `--fast` alone."""
    spelled = [re.sub(r"^--[^=]+", lambda name: "--" + name[0][2:].replace("-", "_"), arg) for arg in args]
    return [f"{arg}=true" if arg == "--fast" else arg for arg in spelled]

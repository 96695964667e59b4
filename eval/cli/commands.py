"""The `alphadx` command: one word per job, and every job also a Python function."""

import json
import logging
import os
import re
import sys
import warnings
from difflib import get_close_matches
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, auto_cli

from eval.cli.export import export
from eval.cli.fill import residuals
from eval.cli.measuring import measure
from eval.cli.showing import fail, show
from eval.fit import fit_from
from eval.measuring.folders import check_folder
from eval.records.device import AUTO
from eval.report import write_comparison, write_report
from eval.studies import Study, catalogue, load_study, run_study
from eval.studies.catalogue import expected
from eval.studies.parsing import one_sentence
from eval.studies.plan import FAST
from training import data as data_sets

LISTS = ("--attacks", "--norms", "--epsilons", "--figures")
"""Options of `measure` that take a list, in which one thing needs no brackets."""
NOTHING_NAMED = ("required: measure.checkpoint", "required: study.name")
"""What the parser says where `measure` is given no checkpoint, or `study` no name."""


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


def study(
    name: str,
    out: Path | None = None,
    fast: bool = False,
    list: bool = False,
    data_root: Path | None = None,
    jobs: int | None = None,
    device: str = AUTO,
    side_by_side: int | None = None,
) -> None:
    """Train and measure a grid of data set × recipe × ε × seed; goes on where a killed run stopped.

    A YAML file of your own is code: it names classes, which are imported and called.

    Args:
        name: a preset (quick, mnist35) or the path of a YAML file; or several with commas (mnist35,choice), which
            train what they share once, as do studies that are run one after the other into one folder.
        out: folder for everything; `runs/NAME` if not given.
        fast: the form of a preset that a CPU can finish.
        list: print the presets with what they repeat and how long they take, and do nothing else.
        data_root: folder of data files such as MNIST's.
        jobs: processes; if not given as many as there are cores, and with a GPU one, or several for small networks.
        device: to train and measure on: cpu, cuda, cuda:1, mps, …; auto takes a GPU where there is one, and leaves
            a training's own `trainer.accelerator` as it is.
        side_by_side: models of equal shapes that a process trains at a time; if not given one on a CPU, and on a GPU
            as many as fit into its memory, at most 16.
    """
    if list:
        print(catalogue())
        return
    if not name:
        raise ValueError("`study` should be told a preset or a YAML file; `alphadx study --list` prints the presets.")
    if data_root is not None:
        os.environ["ALPHADX_DATA"] = str(data_root)
    plan = load_study(name, fast=fast)
    _tell_times(plan)
    folder = out or Path("runs") / plan.name
    check_folder(folder)
    done = run_study(plan, folder, jobs=jobs, device=device, side_by_side=side_by_side)
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
    """Write tables, plots and one self-contained page from saved records; of several folders, a comparison.

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
            _run(args)
    except KeyboardInterrupt:
        sys.exit("alphadx: interrupted; the same command goes on where it stopped.")
    except BrokenPipeError:  # whoever reads has seen enough, as `alphadx study --list | head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        sys.exit(f"alphadx: {_sentence(error)}")


def _run(args: list[str]) -> None:
    """Do the job that is named; `measure` may name no checkpoint, and `study` no study but --list."""
    jobs: Any = {job.__name__: job for job in (fit, residuals, measure, study, report, export)}
    run = partial(auto_cli, jobs, prog="alphadx", as_positional=True, parser_class=OneSentence)
    try:
        run(args=args)
        return
    except ValueError as error:
        if not any(told in str(error) for told in NOTHING_NAMED):
            raise
    run(args=[args[0], "", *args[1:]])


class OneSentence(ArgumentParser):
    """A parser that refuses in one sentence, where jsonargparse prints its usage and a tree of types."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Refuse."""
        told = re.sub(r"\.? See `[^`]* --help`", "", one_sentence(message))  # of a parser inside this one
        if name := re.search(r"Expected a dot import path string: (\w+)$", told.rstrip(".")):
            close = get_close_matches(name[1], data_sets.__all__, cutoff=0.5) or ["Digits", "ImageFolders"]
            told = f"`--data` should name a data set, such as {' or '.join(close)}. Found {name[1]!r}"
        raise ValueError(f"{told.rstrip('.')}. See `{self.prog} --help`.") from ex


def _sentence(error: Exception) -> str:
    """What an error says, and what it is where torch raised it."""
    told = str(error)
    if "Does not validate against" in told:  # jsonargparse wraps what a data set says of its arguments
        told = one_sentence(told)
    return told if isinstance(error, ValueError | OSError | ImportError) else f"{type(error).__name__}: {told}"


def _spelled(args: list[str]) -> list[str]:
    """Options may be written with hyphens, and `--fast` and `--list` alone."""
    spelled = [re.sub(r"^--[^=]+", lambda name: "--" + name[0][2:].replace("-", "_"), arg) for arg in args]
    spelled = [f"{arg}=true" if arg in ("--fast", "--list") else arg for arg in spelled]
    if args[:1] == ["report"]:  # folders as one list
        named = next((place for place, arg in enumerate(args[1:], 1) if arg.startswith("-")), len(args))
        spelled = ["report", *([json.dumps(args[1:named])] if named > 1 else []), *spelled[named:]]
    if args[:1] == ["measure"]:
        spelled = [_bracketed(before, arg) for before, arg in zip(["", *spelled], spelled, strict=False)]
    return spelled


def _bracketed(before: str, arg: str) -> str:
    """An argument, in brackets if it is a value of an option that takes a list and has none.

    Example:
        >>> _bracketed("--epsilons", "8/255"), _bracketed("", "--attacks=pgd,square"), _bracketed("--limit", "3")
        ('[8/255]', '--attacks=[pgd,square]', '3')
        >>> _bracketed("--epsilons", "{Linf: [8/255], L2: [0.5]}")
        '{Linf: [8/255], L2: [0.5]}'
    """
    name, equals, value = arg.partition("=") if before not in LISTS else ("", "", arg)
    if (name not in LISTS and before not in LISTS) or value[:1] in ("", "[", "{", "-") or value == "null":
        return arg
    return f"{name}{equals}[{value}]"

"""Entry point of the `alphadx` command."""

import json
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise, takewhile

from alignment.spelling import did_you_mean
from eval.cli.at_once import check_at_once
from eval.cli.completion import completion
from eval.cli.interruptions import heeds_termination, ignore_interruptions
from eval.cli.mistakes import USAGE, Ended, end_of, is_fault
from eval.cli.short_help import help_of, help_of_all
from eval.cli.terminal import in_plain_letters, in_utf8
from eval.cli.version import version_line
from eval.cli.words import HELP_ALL, WORDS
from eval.progress import silenced
from eval.progress.torchrun import is_first
from eval.studies.catalogue import catalogue
from eval.studies.starting import load_early

DEBUG = "ALPHADX_DEBUG"
"""With any value in the environment, errors come with their traceback."""
ALONE = {"--ray": "auto", "--slurm": "slurm"}
"""What options mean that stand without a value; one that is yes or no means yes."""
QUIET = "--quiet"
"""Shows no progress, whatever the job."""
NOTHING_NAMED = "arguments are required: (checkpoint|name)"
"""What the parser says where `measure` is given no checkpoint, or `study` no name."""
PRINTED: dict[str, Callable[[], str]] = {"--help": help_of_all, "-h": help_of_all, "--version": version_line}


def main(args: list[str] | None = None) -> None:
    """Entry point of the `alphadx` command."""
    if args is None:
        in_utf8()
        heeds_termination()
    written = list(sys.argv[1:] if args is None else args)
    given = [arg for arg in written if arg != QUIET]
    debug = "--traceback" in given or bool(os.environ.get(DEBUG))
    given = [arg for arg in given if arg != "--traceback"]
    _prepare()
    try:
        with silenced(QUIET in written or not is_first()):
            _do(given, is_command=args is None)
    except BrokenPipeError:  # whoever reads has seen enough, as `alphadx study --list | head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (Exception, KeyboardInterrupt) as error:
        if args is None and isinstance(error, KeyboardInterrupt):
            ignore_interruptions()
        end = end_of(error, written)
        if debug or is_fault(error):
            traceback.print_exception(error)
        print(f"alphadx: {end.told}", file=sys.stderr)
        raise Ended(f"alphadx: {end.told}", end.status) from error


def _prepare() -> None:
    """Streams, loggers and warnings of a whole process."""
    in_plain_letters()
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    # Lightning 2.6 asks for a class that torch is about to rename; its users cannot mend that.
    warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)


def _do(args: list[str], is_command: bool) -> None:
    """Print what is asked for, or do the job that is named."""
    if not args:
        print(help_of_all(), file=sys.stderr)
        sys.exit(USAGE)
    word, *rest = args
    if word in PRINTED:
        print(PRINTED[word]())
    elif word == "--completion":
        print(completion(rest[0] if rest else ""))
    elif word not in WORDS:
        raise ValueError(f"There is no word {word!r}.{did_you_mean(word, WORDS)} `alphadx --help` lists the words.")
    elif {*rest} & {"--help", "-h"}:
        print(help_of(word))
    else:
        _do_word(word, ["--help"] if HELP_ALL in rest else _spelled(word, rest), is_command)


def _do_word(word: str, rest: list[str], is_command: bool) -> None:
    """Do a job; what it names by a dotted path may lie in the current folder, behind what is installed."""
    sys.path += {os.getcwd()} - {*sys.path}
    check_at_once(word, rest)
    if word == "study" and is_command:
        load_early(rest)
    if word == "study" and "--list=true" in rest:
        print(catalogue())
    elif word == "fit":
        _fit(rest)
    elif word == "report":
        _run(word, _in_one_list(rest))
    else:
        _run(word, rest)


def _fit(rest: list[str]) -> None:
    """Train; the configuration may be named as `--config`, too."""
    from eval.cli.commands import fit

    is_option = rest[:1] and rest[0].startswith("-")
    fit(*(["", *rest] if is_option or not rest else rest))


def _run(word: str, rest: list[str]) -> None:
    """Parse what was typed, and call the job; `measure` may name no checkpoint, and `study` no study."""
    from jsonargparse import auto_cli

    from eval.fit.parser_sentences import UNION, one_sentence
    from eval.fit.parsing import Refused, RefusingParser

    def run(args: list[str]) -> None:
        auto_cli(job, args=args, prog=f"alphadx {word}", as_positional=True, parser_class=RefusingParser)

    job = WORDS[word].job()
    try:
        run(rest)
    except ValueError as error:
        if str(error).startswith(UNION):  # around what a data set says of its arguments
            raise Refused(one_sentence(str(error))) from error
        if not re.search(NOTHING_NAMED, str(error)):
            raise
        run(["", *rest])


def _in_one_list(args: Sequence[str]) -> list[str]:
    """Folders as the parser takes them, in one list.

    Example:
        >>> _in_one_list(["runs/a", "runs/b c", "--out", "d"])
        ['["runs/a", "runs/b c"]', '--out', 'd']
    """
    folders = [*takewhile(lambda arg: not arg.startswith("-"), args)]
    return [*([json.dumps(folders)] if folders else []), *args[len(folders) :]]


def _spelled(word: str, args: Sequence[str]) -> list[str]:
    """Options with underscores, and those that may stand alone with their value.

    Example:
        >>> _spelled("study", ["quick", "--fast", "--data-root", "a-b", "--side-by-side=2"])
        ['quick', '--fast=true', '--data_root', 'a-b', '--side_by_side=2']
        >>> _spelled("study", ["quick", "--ray", "--slurm", "local"])
        ['quick', '--ray=auto', '--slurm', 'local']
    """
    spelled = [re.sub(r"^--[^=]+", lambda name: "--" + name[0][2:].replace("-", "_"), arg) for arg in args]
    alone = ALONE | {f"--{one.name}": "true" for one in WORDS[word].options.values() if one.is_flag}
    return [
        f"{arg}={alone[arg]}" if arg in alone and not _is_value(arg, after) else arg
        for arg, after in pairwise([*spelled, ""])
    ]


def _is_value(option: str, after: str) -> bool:
    """Whether what follows an option that may stand alone is its value."""
    return bool(after) and not after.startswith("-") if option in ALONE else after in ("true", "false")

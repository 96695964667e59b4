"""Entry point of the `alphadx` command."""

import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence

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
from eval.studies.catalogue import catalogue

DEBUG = "ALPHADX_DEBUG"
"""With any value in the environment, errors come with their traceback."""
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
        with silenced(QUIET in written):
            _do(given)
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


def _do(args: list[str]) -> None:
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
        _do_word(word, ["--help"] if HELP_ALL in rest else _spelled(word, rest))


def _do_word(word: str, rest: list[str]) -> None:
    """Do a job."""
    check_at_once(word, rest)
    if word == "study" and "--list=true" in rest:
        print(catalogue())
    elif word == "fit":
        _fit(rest)
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

    from eval.fit.parsing import RefusingParser

    def run(args: list[str]) -> None:
        auto_cli(job, args=args, prog=f"alphadx {word}", as_positional=True, parser_class=RefusingParser)

    job = WORDS[word].job()
    try:
        run(rest)
    except ValueError as error:
        if not re.search(NOTHING_NAMED, str(error)):
            raise
        run(["", *rest])


def _spelled(word: str, args: Sequence[str]) -> list[str]:
    """Options with underscores, and those that are yes or no with their value.

    Example:
        >>> _spelled("study", ["quick", "--fast", "--data-root", "a-b", "--side-by-side=2"])
        ['quick', '--fast=true', '--data_root', 'a-b', '--side_by_side=2']
    """
    spelled = [re.sub(r"^--[^=]+", lambda name: "--" + name[0][2:].replace("-", "_"), arg) for arg in args]
    flags = {f"--{one.name}" for one in WORDS[word].options.values() if one.is_flag}
    return [
        f"{arg}=true" if arg in flags and after not in ("true", "false") else arg
        for arg, after in zip(spelled, [*spelled[1:], ""], strict=False)
    ]

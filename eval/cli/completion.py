"""Completion in bash and zsh: words, options, and the names that they take."""

from argparse import ArgumentParser

import shtab

from eval.cli.names import known_names
from eval.cli.reading import Option
from eval.cli.words import HELP_ALL, WORDS, Word
from eval.studies.source import presets

SHELLS = ("bash", "zsh")
GIVEN = ("model.shape", "model.num_classes", "model.bounds", "model.seed")
"""What a network learns from the data set and the seed of all, and nobody types."""


def completion(shell: str) -> str:
    """A script for a shell.

    Args:
        shell: bash or zsh.

    Raises:
        ValueError: for another shell.
    """
    if shell not in SHELLS:
        raise ValueError(f"`--completion` should be bash or zsh. Found {shell!r}.")
    return shtab.complete(parser_for_completion(), shell)


def parser_for_completion() -> ArgumentParser:
    """A parser that knows words, options and names, and does nothing."""
    parser = ArgumentParser("alphadx", add_help=False)
    for option in ("--help", "--version"):
        parser.add_argument(option, action="store_true", help=f"print {option[2:]}")
    parser.add_argument("--completion", choices=SHELLS, help="print a script")
    words = parser.add_subparsers()
    for name, word in WORDS.items():
        _add(words.add_parser(name, help=word.summary, add_help=False), name, word)
    return parser


def _add(parser: ArgumentParser, name: str, word: Word) -> None:
    """What follows a word."""
    for option in ("--help", HELP_ALL):
        parser.add_argument(option, action="store_true", help="print help")
    for one in word.options.values():
        if one.name in GIVEN:
            continue
        if one.required:
            _complete(parser.add_argument(one.name, choices=presets() if name == "study" else None), one)
        elif one.is_flag:
            parser.add_argument(f"--{one.typed}", action="store_true", help=_line(one))
        else:
            names = known_names(one.name) or None
            _complete(parser.add_argument(f"--{one.typed}", choices=names, help=_line(one)), one)


def _complete(action: object, option: Option) -> None:
    """Files where a path is taken."""
    if getattr(action, "choices", None) is None and ("Path" in option.kind or option.required):
        action.complete = {"bash": "_shtab_compgen_files", "zsh": "_files"}  # type: ignore[attr-defined]


def _line(option: Option) -> str:
    """What is said of an option, shortly: a shell shows one line."""
    return option.told.split(". ")[0][:70].replace("%", " per cent")

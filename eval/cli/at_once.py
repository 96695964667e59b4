"""What is refused at once, before anything is imported that takes seconds."""

import re
from collections.abc import Iterator, Sequence
from importlib import resources
from itertools import pairwise, takewhile
from pathlib import Path

from alignment.spelling import did_you_mean, listed, nearest
from eval.cli.names import known_names
from eval.cli.words import WORDS
from eval.studies.source import content_of

OTHERS = ("config", "print_config", "help", "data")
"""Options that are no arguments of a job, or have options of their own behind a dot."""
CHECKED = ("data", "attacks", "norms", "figures")
"""Options whose names are known without importing anything."""


def check_at_once(word: str, args: Sequence[str]) -> None:
    """Refuse options and names that do not exist, and files that are not there.

    Args:
        word: of the command.
        args: what follows it, options written with underscores.

    Raises:
        ValueError: with the nearest name.
        FileNotFoundError: if a file is not there.
    """
    if word != "fit":
        _check_options(word, args)
    given = [*takewhile(lambda arg: not arg.startswith("-"), args)]
    given = given if word == "report" else given[:1]
    for first in given:
        _check_first(word, first)


def _check_options(word: str, args: Sequence[str]) -> None:
    known = WORDS[word].options
    for name, value in _pairs(args):
        if name.split(".")[0] not in (*known, *OTHERS):
            shown = [f"--{one.typed}" for one in known.values()]
            typed = f"--{name.replace('_', '-')}"
            raise ValueError(f"`{word}` has no option {typed}.{did_you_mean(typed, shown)}".replace("'", ""))
        if name in CHECKED:
            _check_names(name, value)


def _check_names(option: str, value: str) -> None:
    """Plain names alone: a dotted path, a list in brackets or an empty value is left to the parser."""
    names = value.split(",")
    known = known_names(option)
    for name in names:
        if known and re.fullmatch(r"\w+", name) and name != "null" and name not in known and not name.isdigit():
            raise ValueError(
                f"`--{option}` should be one of {listed(name, known)}. Found {name!r}.{did_you_mean(name, known)}"
            )


def _check_first(word: str, first: str) -> None:
    path = Path(first)
    if word == "study":
        for part in [first] if path.is_file() else first.split(","):
            content_of(part.strip())
    elif word in ("report", "export") and not path.is_dir():
        raise FileNotFoundError(f"{first}: no such folder of results.{_beside(path)}")
    elif word == "fit" and not path.is_file():
        raise FileNotFoundError(f"{first}: no such configuration file.{_beside(path)}")
    elif word == "measure" and not path.exists() and first not in _lists():
        raise FileNotFoundError(f"{first}: no such checkpoint file.{_beside(path)}")


def _pairs(args: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Options, each with its value."""
    for arg, after in pairwise([*args, ""]):
        if arg.startswith("--"):
            name, equals, value = arg[2:].partition("=")
            yield name, value if equals or after.startswith("--") else after


def _lists() -> list[str]:
    """Lists of models that come with the package."""
    folder = resources.files("eval") / "measuring" / "lists"
    return [file.name.removesuffix(".yaml") for file in folder.iterdir()]


def _beside(path: Path) -> str:
    """What it is instead, or the nearest name in the folder, of those with the same ending."""
    if path.exists():
        return f" Found a {'folder' if path.is_dir() else 'file'}."
    kin = path.parent.glob(f"*{path.suffix}") if path.parent.is_dir() else []
    near = nearest(path.stem, [one.stem for one in kin], cutoff=0.75)  # names of files are anything
    return "".join(f" Did you mean '{name}{path.suffix}'?" for name in near)

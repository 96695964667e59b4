"""A parser that refuses in one sentence, where jsonargparse prints its usage and a tree of types."""

import re
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import NoneType
from typing import Any, NoReturn, get_args, get_type_hints

from jsonargparse import ArgumentParser

from eval.fit.lists import bracketed
from eval.fit.parser_sentences import sentence

CONFIG = ("--config", "-c")
"""Options that name a configuration file."""


class Refused(ValueError):
    """What was typed cannot be done."""


class RefusingParser(ArgumentParser):
    """A parser that raises one sentence, with the nearest name, and takes lists without brackets."""

    given: Sequence[str] = ()
    """What is being parsed."""

    def parse_args(self, args: Any = None, *more: Any, **options: Any) -> Any:
        """As jsonargparse's, with `a,b` in place of `[a,b]` where an option takes a list."""
        return super().parse_args(None if args is None else self.in_lists(args), *more, **options)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Refuse."""
        told = sentence(message, self._keys())
        raise Refused(f"{self._file_of(told)}{told}") from ex

    def _file_of(self, told: str) -> str:
        """The configuration file in which the name stands that is refused, with a colon; nothing if it is in none."""
        name = re.search(r"'([^']+)'", told)
        files = [value for option, value in pairwise(self.given) if option in CONFIG]
        files += [arg.partition("=")[2] for arg in self.given if arg.startswith("--config=")]
        for file in map(Path, files):
            if name and file.is_file() and name[1] in file.read_text(encoding="utf-8", errors="replace"):
                return f"{file}: "
        return ""

    def _keys(self) -> list[str]:
        """Names of all options, and of the arguments of classes that are named."""
        known = [name.removeprefix("--") for name in self._option_string_actions if name.startswith("--")]
        classes = {name: self._class_given(name) for name in known if "." not in name}
        inner = [f"{name}.{part}" for name, found in classes.items() if found for part in _hints(found)]
        return [*known, *inner]

    def in_lists(self, args: Sequence[str]) -> list[str]:
        """What was typed, in brackets where it is a list."""
        self.given, found = [*args], []
        for before, arg in zip(["", *args], args, strict=False):
            name, equals, value = arg.partition("=") if arg.startswith("--") else (before, "", arg)
            told = bracketed(value, self._hint(name)) if name.startswith("--") else value
            found.append(f"{name}={told}" if equals else told if value is arg else arg)
        return found

    def _hint(self, option: str) -> Any:
        """The type of an option, or of an argument of the class that another option names, as `--data.bounds`."""
        if action := self._option_string_actions.get(option):
            return getattr(action, "_typehint", None)
        outer, _, inner = option.removeprefix("--").rpartition(".")
        found = self._class_given(outer) if outer else None
        return _hints(found).get(inner) if found else None

    def _class_given(self, option: str) -> Any:
        """The class that an option names on this command line, or None."""
        values = [value for name, value in pairwise(self.given) if name == f"--{option}"]
        values += [arg.partition("=")[2] for arg in self.given if arg.startswith(f"--{option}=")]
        hint = getattr(self._option_string_actions.get(f"--{option}"), "_typehint", None)
        bases = [kind for kind in (hint, *get_args(hint)) if isinstance(kind, type) and kind is not NoneType]
        return _class_named(values[-1], bases[0]) if values and bases else None


def _class_named(name: str, base: type) -> Any:
    """A class by its dotted path, or one that is made from `base` by its bare name."""
    module, _, last = name.rpartition(".")
    module = module or base.__module__.rpartition(".")[0]
    try:
        return getattr(import_module(module), last, None) if module else None
    except ImportError:
        return None


def _hints(made: Any) -> dict[str, Any]:
    """The types of what makes an object of a class."""
    try:
        return {name: hint for name, hint in get_type_hints(vars(made)["__init__"]).items() if name != "return"}
    except (KeyError, NameError, TypeError):
        return {}

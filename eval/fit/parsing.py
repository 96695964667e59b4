"""A parser that refuses in one sentence, where jsonargparse prints its usage and a tree of types."""

import re
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

from jsonargparse import ArgumentParser

from eval.fit.lists import bracketed
from eval.fit.parser_sentences import sentence

CONFIG = ("--config", "-c")
"""Options that name a configuration file."""


class Refused(ValueError):
    """What was typed cannot be done."""


class RefusingParser(ArgumentParser):
    """A parser that raises one sentence, with the nearest name, and takes lists without brackets."""

    def parse_args(self, args: Any = None, *more: Any, **options: Any) -> Any:
        """As jsonargparse's, with `a,b` in place of `[a,b]` where an option takes a list."""
        self.given = [] if args is None else self._in_lists(args)
        return super().parse_args(None if args is None else self.given, *more, **options)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Refuse."""
        told = sentence(message, self._keys())
        raise Refused(f"{self._file_of(told)}{told}") from ex

    def _file_of(self, told: str) -> str:
        """The configuration file in which the name stands that is refused, with a colon; nothing if it is in none."""
        name = re.search(r"'([^']+)'", told)
        given = getattr(self, "given", [])
        files = [value for option, value in pairwise(given) if option in CONFIG]
        files += [arg.partition("=")[2] for arg in given if arg.startswith("--config=")]
        for file in map(Path, files):
            if name and file.is_file() and name[1] in file.read_text(encoding="utf-8", errors="replace"):
                return f"{file}: "
        return ""

    def _keys(self) -> list[str]:
        """Names of all options, without hyphens."""
        return [name.removeprefix("--") for name in self._option_string_actions if name.startswith("--")]

    def _in_lists(self, args: Sequence[str]) -> list[str]:
        found = []
        for before, arg in zip(["", *args], args, strict=False):
            name, equals, value = arg.partition("=") if arg.startswith("--") else (before, "", arg)
            told = bracketed(value, self._hint(name, args)) if name.startswith("--") else value
            found.append(f"{name}={told}" if equals else told if value is arg else arg)
        return found

    def _hint(self, option: str, args: Sequence[str]) -> Any:
        """The type of an option, or of an argument of the class that another option names, as `--data.bounds`."""
        if action := self._option_string_actions.get(option):
            return getattr(action, "_typehint", None)
        outer, _, inner = option.rpartition(".")
        given = [value for name, value in pairwise(args) if name == outer]
        given += [arg.removeprefix(f"{outer}=") for arg in args if arg.startswith(f"{outer}=")]
        kind = getattr(self._option_string_actions.get(outer), "_typehint", None)
        made = _class_named(given[-1], kind) if given and isinstance(kind, type) else None
        try:
            return get_type_hints(vars(made)["__init__"]).get(inner)
        except (KeyError, NameError, TypeError):
            return None


def _class_named(name: str, base: type) -> Any:
    """A class by its dotted path, or one that is made from `base` by its bare name."""
    module, _, last = name.rpartition(".")
    try:
        return getattr(import_module(module or base.__module__.rpartition(".")[0]), last, None)
    except ImportError:
        return None

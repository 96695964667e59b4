"""Help that fits on one screen: what a word does, examples, and the options that people use."""

import re
from collections.abc import Iterator
from textwrap import wrap

from eval.cli.names import known_names
from eval.cli.reading import Option
from eval.cli.words import WORDS
from eval.studies.source import presets

WIDTH = 80
LEFT = 22
"""Columns of names."""


def help_of_all() -> str:
    """What the command can do."""
    words = [f"  {name:{10}} {word.summary}" for name, word in WORDS.items()]
    examples = [f"  {WORDS[name].examples[0]}" for name in ("measure", "fit", "study")]
    known = wrap(", ".join(presets()), WIDTH, initial_indent="  ", subsequent_indent="  ")
    return "\n".join(
        [
            "usage: alphadx WORD ...", "",
            "Alignment of input gradients with the closest example of another class, and",
            "robustness beside it.", "",
            *examples, "",
            "words", *words, "",
            "presets of `alphadx study`", *known, "",
            "alphadx WORD --help      examples and usual options; --help-all every option",
            "alphadx --version        versions of alphadx, Python and torch",
            "alphadx --completion     bash or zsh: a script that completes words and names",
            "--quiet, --traceback     with any word: no progress; where an error came from",
        ]
    )  # fmt: skip


def help_of(name: str) -> str:
    """What one word does."""
    word = WORDS[name]
    options = word.options
    needed = [option for option in options.values() if option.required and option.name != "overrides"]
    usual = [options[one] for one in word.usual]
    rows = [_row(one.name.upper(), _first(one)) for one in needed]
    rows += [_row(f"--{_typed(one)}", _first(one) + _among(one)) for one in usual]
    return "\n".join(
        [
            f"usage: alphadx {name} {word.form}", "",
            *wrap(word.summary, WIDTH), "",
            *(f"  {line}" for example in word.examples for line in example.split("\n")), "",
            *(line for row in rows for line in row), "",
            f"Every option: alphadx {name} --help-all",
        ]
    )  # fmt: skip


def _row(left: str, right: str) -> Iterator[str]:
    """A name with what it is beside it, or below it where it is long."""
    lines = wrap(right, WIDTH - LEFT - 2)
    if len(left) > LEFT - 2:
        yield f"  {left}"
    else:
        yield f"  {left:{LEFT}}{lines.pop(0) if lines else ''}".rstrip()
    yield from (f"  {'':{LEFT}}{line}" for line in lines)


def _typed(option: Option) -> str:
    """An option with its value as it is typed."""
    return f"{option.typed} {_value(option)}".rstrip()


def _value(option: Option) -> str:
    if option.is_flag:
        return ""
    if option.is_list:
        return "A,B"
    for kind, shown in (("DataSet", "NAME"), ("Path", "PATH"), ("int", "N"), ("float", "X"), ("dict", "{...}")):
        if re.search(rf"\b{kind}\b", option.kind):
            return shown
    return "NAME"


def _first(option: Option) -> str:
    """The first sentence of what is said of an option."""
    return re.split(r"(?<!\bEq)\. ", option.told, maxsplit=1)[0].rstrip(".")


def _among(option: Option) -> str:
    """The names that an option takes."""
    names = known_names(option.name)
    return f": {', '.join(names)}" if names and option.name != "network" else ""

"""Run a block: commands by the function behind `alphadx`, Python in one namespace per page, YAML into its file."""

import contextlib
import io
import shlex
import tomllib
import traceback
from collections.abc import Callable, Iterator
from glob import glob
from pathlib import Path
from typing import Any

import yaml
from blocks import Block
from limits import limited, overlaid

from eval.cli import main
from eval.studies import load_study

CHECKOUT = Path(__file__).resolve().parents[2]


class Untrue(Exception):
    """A block that does not do what the documentation says."""


def run(block: Block, names: dict[str, Any]) -> None:
    """Do what a block says, in the current folder.

    Args:
        block: of bash, python or yaml.
        names: of the Python of its page.

    Raises:
        Untrue: with what went wrong.
    """
    if block.setup:
        _python(block.setup, names)
    {"bash": _commands, "python": lambda block: _python(block.text, names), "yaml": _yaml}[block.language](block)


def examine(block: Block) -> None:
    """Check what can be checked of a block that is not run: presets, scripts, targets and extras exist.

    Raises:
        Untrue: naming what does not.
    """
    for words in commands(block.text) if block.language == "bash" else ():
        _exists(words)


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command, without comments, and with stars as a shell takes them."""
    for line in text.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield [found for word in words for found in (sorted(glob(word)) or [word] if "*" in word else [word])]


def _commands(block: Block) -> None:
    for words in commands(block.text):
        if words[0] != "alphadx":
            raise Untrue(f"{' '.join(words)}: only alphadx is run here; mark the block as `not run`.")
        _alphadx(words[1:], block.marks.get("refused"))


def _alphadx(words: list[str], refused: str | None) -> None:
    """Run a word of the command; one that is to be refused must be, in the words that the page shows."""
    said, ended = _captured(lambda: main(limited(words) if refused is None else words))
    failed = ended not in (None, 0)
    if refused is None and failed:
        raise Untrue(f"alphadx {shlex.join(words)}\n{said}{ended}")
    if refused is not None and not (failed and refused in f"{said}{ended}"):
        raise Untrue(f"alphadx {shlex.join(words)} should be refused with {refused!r}. Found:\n{said}{ended}")


def _captured(work: Callable[[], None]) -> tuple[str, Any]:
    """What was printed, and with what it exited."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            work()
        except SystemExit as ended:
            return printed.getvalue(), ended.code
    return printed.getvalue(), None


def _python(text: str, names: dict[str, Any]) -> None:
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            exec(compile(text, "block", "exec"), names)
    except Exception as error:
        raise Untrue(f"{printed.getvalue()}{''.join(traceback.format_exception(error)[-3:])}") from error


def _yaml(block: Block) -> None:
    """Read it, and write it where its mark says, a study with limits."""
    content = yaml.safe_load(block.text)
    if "file" in block.marks:
        whole = overlaid(content) if "experiments" in content else content
        text = yaml.safe_dump(whole, allow_unicode=True, sort_keys=False)
        Path(block.marks["file"]).write_text(text, encoding="utf-8")


def _exists(words: list[str]) -> None:
    if words[:2] == ["alphadx", "study"] and len(words) > 2 and not words[2].startswith("--"):
        load_study(words[2], fast="--fast" in words)
    if words[0] == "make" and len(words) > 1 and f"\n{words[1]}:" not in (CHECKOUT / "Makefile").read_text("utf-8"):
        raise Untrue(f"make {words[1]}: no such target.")
    if words[0] == "python" and words[1].endswith(".py") and not (CHECKOUT / words[1]).is_file():
        raise Untrue(f"{words[1]}: no such file.")
    for name in [name for word in words if word.startswith(".[") for name in word[2:-1].split(",")]:
        with (CHECKOUT / "pyproject.toml").open("rb") as file:
            if name not in tomllib.load(file)["project"]["optional-dependencies"]:
                raise Untrue(f"{name}: no such extra.")

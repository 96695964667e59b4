"""What a command prints at its end: tables, where everything lies, and what failed."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.cli.mistakes import Failed
from eval.cli.terminal import shown
from eval.report import Table
from eval.tables.plain_letters import plainly


def show(tables: Mapping[str, Table], folder: Path | None) -> None:
    """Print tables, in letters that the terminal has, and where everything lies."""
    encoding = sys.stdout.encoding or "utf-8"
    for heading, table in tables.items():
        print(f"\n{plainly(heading, encoding)}\n{table.in_letters_of(encoding)}")
    if folder is not None:
        print(f"\n{shown(folder / 'page.html')}")


def fail(failures: Sequence[str]) -> None:
    """Say what failed, and let the command end with it.

    Raises:
        Failed: with every sentence, if there is one.
    """
    if failures:
        raise Failed("\n  ".join([f"{len(failures)} failed, all else was finished:", *failures]))

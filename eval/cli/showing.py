"""What a command prints at its end: tables, where everything lies, and what failed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.cli.mistakes import Failed
from eval.report import Table


def show(tables: Mapping[str, Table], folder: Path | None) -> None:
    """Print tables, and where everything lies."""
    for heading, table in tables.items():
        print(f"\n{heading}\n{table}")
    if folder is not None:
        print(f"\n{folder / 'page.html'}")


def fail(failures: Sequence[str]) -> None:
    """Say what failed, and let the command end with it.

    Raises:
        Failed: with every sentence, if there is one.
    """
    if failures:
        raise Failed("\n  ".join([f"{len(failures)} failed, all else was finished:", *failures]))

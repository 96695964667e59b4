"""A table as Markdown, as GitHub reads it."""

import re

import pandas as pd

from eval.tables.table import Table

NUMBER = re.compile(r"[<>]? ?[-−+]?(\d[\d.]*(e[-+]?\d+)?|∞)( %)?( ± [\d.e-]+)?( \[[^\]]*\]†?)?")
EMPTY = ("", "–")


def is_numeric(column: pd.Series) -> bool:
    """Whether numbers stand in a column, and nothing else."""
    cells = [str(cell) for cell in column if str(cell) not in EMPTY]
    return bool(cells) and all(NUMBER.fullmatch(cell) for cell in cells)


def markdown(table: Table) -> str:
    """A table with its notes below."""
    frame = table.frame
    rules = ["---:" if is_numeric(frame[name]) else "---" for name in frame]
    lines = [[*frame], *frame.astype(str).to_numpy().tolist()]
    head, *body = ["| " + " | ".join(map(_escaped, line)) + " |" for line in lines]
    notes = [f"- {_escaped(note)}" for note in table.notes]
    told = "\n".join([head, "|" + "|".join(rules) + "|", *body])
    return told + ("\n\n" + "\n".join(notes) if notes else "") + "\n"


def _escaped(text: str) -> str:
    r"""Text in which Markdown sees no mark.

    Example:
        >>> print(_escaped("α_x | *a*"))
        α\_x \| \*a\*
    """
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", str(text).strip())

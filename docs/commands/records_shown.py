"""Compare a table that a page repeats as text, as the README does, with the record that it is from."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_ext"))

import record_files


def differences(mark: str, text: str) -> str:
    """What a table has that the record has not; nothing if it repeats the record.

    Args:
        mark: `studies/quick, Side by side`: the record and the beginning of a table's heading.
        text: a Markdown table; its rows must be rows of the record, in the columns that it names.
    """
    name, _, heading = mark.partition(", ")
    columns, _, *rows = ([cell.strip() for cell in line.strip("|\n ").split("|")] for line in text.splitlines())
    printed = record_files.table(name, heading).only(columns)
    strange = [row for row in rows if row not in printed.rows]
    return f"should repeat rows of {name}, {heading}. Found {strange[0]}." if strange else ""

"""Compare a table that a page repeats as text, as the README does, with the record that it is from."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_ext"))

import record_files


def differences(mark: str, text: str) -> str:
    """What the text has that the record has not; nothing if it repeats the record.

    Args:
        mark: `studies/quick, Side by side`: the record and the beginning of a table's heading.
        text: lines of cells, with any spaces between them; each must be the chosen columns of a row, in order.
    """
    name, _, heading = mark.partition(", ")
    printed = record_files.table(name, heading)
    rows = [" ".join("  ".join(row).split()) for row in [printed.columns, *printed.rows]]
    strange = [line for line in text.splitlines() if " ".join(line.split()) not in rows]
    return "" if not strange else f"should repeat rows of {name}, {heading}. Found {strange[0]!r}."

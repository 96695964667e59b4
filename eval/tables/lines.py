"""The cells of rows, by the titles of the columns."""

from collections.abc import Sequence

from eval.records import Record
from eval.tables.cells import cell
from eval.tables.rows import Row, column_titles


def cell_lines(found: Sequence[Row], shown: Sequence[Record]) -> list[dict[str, str]]:
    """One line of cells per row; "–" where a row has no number.

    Args:
        found: the rows.
        shown: all records whose quantities have a column.
    """
    titles, lines = by_title(found, shown)
    return [{title: cell(groups[title]) if title in groups else "–" for title in titles} for groups in lines]


def by_title(found: Sequence[Row], shown: Sequence[Record]) -> tuple[list[str], list[dict[str, list[Record]]]]:
    """The titles of the columns in their order, and the records of each row by them.

    Args:
        found: the rows.
        shown: all records whose quantities have a column.
    """
    named = column_titles(shown)
    columns = sorted(named, key=lambda quantity: quantity.rank)
    lines = []
    for row in found:
        groups: dict[str, list[Record]] = {}
        for record in row.records:
            groups.setdefault(named[record.quantity], []).append(record)
        lines.append(groups)
    return list(dict.fromkeys(named[quantity] for quantity in columns)), lines

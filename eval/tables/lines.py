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
    named = column_titles(shown)
    columns = sorted(named, key=lambda quantity: quantity.rank)
    ordered = dict.fromkeys(named[quantity] for quantity in columns)
    cells = []
    for row in found:
        groups: dict[str, list[Record]] = {}
        for record in row.records:
            groups.setdefault(named[record.quantity], []).append(record)
        cells.append({title: cell(groups[title]) if title in groups else "–" for title in ordered})
    return cells

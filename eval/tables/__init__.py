"""What a table is made of: rows of models, cells of numbers, and the table itself; knows records only."""

from typing import TYPE_CHECKING

from alignment.lazy import lazy

if TYPE_CHECKING:
    from eval.tables.cells import cell
    from eval.tables.rows import Row, column_titles, rows
    from eval.tables.table import Table

__all__ = ["Row", "Table", "cell", "column_titles", "rows"]

lazy(__name__)

"""The numbers behind the cells of a table, as they were computed: nothing is rounded."""

import math
from collections.abc import Sequence

from eval.records import Quantity, Record
from eval.records.quantity import SHARES
from eval.tables.cells import deviation
from eval.tables.rows import Row, column_titles

BEHIND = (OVER, LOW, HIGH) = (" ±", " low", " high")
"""Behind the title of a column: of its deviation over models, and of the ends of its interval."""


def exact_lines(found: Sequence[Row], shown: Sequence[Record]) -> list[dict[str, float]]:
    """One line of numbers per row, in the columns of `eval.tables.lines.cell_lines`; what is not known is left out.

    Of several models it is the mean and, behind " ±", the deviation; of one model the value and, behind " low" and
    " high", its interval. Shares are in per cent, as their titles say.

    Args:
        found: the rows.
        shown: all records whose quantities have a column.
    """
    named = column_titles(shown)
    ordered = dict.fromkeys(named[quantity] for quantity in sorted(named, key=lambda quantity: quantity.rank))
    lines = []
    for row in found:
        groups: dict[str, list[Record]] = {}
        for record in row.records:
            groups.setdefault(named[record.quantity], []).append(record)
        numbers = (of_title(title, groups[title]) for title in ordered if title in groups)
        lines.append({name: value for line in numbers for name, value in line.items()})
    return lines


def of_title(title: str, records: Sequence[Record]) -> dict[str, float]:
    """What stands in the columns of a title for the models of a row."""
    factor = factor_of(records[0].quantity)
    values = [factor * record.value for record in records]
    found = {title: sum(values) / len(values)}
    if len(values) > 1:
        return found | _known({title + OVER: deviation(values)})
    low, high = records[0].interval
    return found | _known({title + LOW: factor * low, title + HIGH: factor * high})


def factor_of(quantity: Quantity) -> float:
    """By which a number is multiplied where its title says per cent."""
    return 100.0 if quantity.kind in SHARES else 1.0


def _known(numbers: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in numbers.items() if not math.isnan(value)}

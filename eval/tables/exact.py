"""The numbers behind the cells of a table, as they were computed: nothing is rounded."""

import math
from collections.abc import Sequence

from eval.records import Quantity, Record
from eval.records.quantity import SHARES
from eval.tables.cells import deviation
from eval.tables.lines import by_title
from eval.tables.rows import Row

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
    titles, lines = by_title(found, shown)
    numbers = [[of_title(title, groups[title]) for title in titles if title in groups] for groups in lines]
    return [{name: value for part in line for name, value in part.items()} for line in numbers]


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

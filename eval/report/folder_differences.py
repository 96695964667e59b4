"""What lies in several folders against what lies in the first of them, number by number."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from eval.records.quantity import Quantity
from eval.report.chosen_numbers import Shown, all_shown
from eval.report.comparing import Compared, compared_by
from eval.report.joining import Joined
from eval.report.sentences import change
from eval.report.tables import is_beside
from eval.tables.exact import HIGH, LOW, factor_of
from eval.tables.rows import Row, column_titles, rows
from eval.tables.table import Table


def folder_differences(together: Joined) -> Table:
    """One row for each recipe of another folder: how much more it has of each quantity than that of the first folder.

    Recipes of one name are compared, on the same samples. Where a folder has one recipe there, that is compared with
    the only one of the first folder, whatever they are called: two checkpoints that were measured.

    Args:
        together: records of the folders.

    Returns:
        Empty where nothing can be compared.
    """
    shown = {one.record.key: one for one in all_shown(together.records) if is_beside(one.record)}
    found = rows(one.record for one in shown.values())
    titles = column_titles(one.record for one in shown.values())
    order = [*dict.fromkeys(titles[quantity] for quantity in sorted(titles, key=lambda quantity: quantity.rank))]
    lines: list[dict[str, str]] = []
    exact: list[dict[str, Any]] = []
    ways: dict[str, None] = {}
    for row, base in _pairs(together, found):
        parts = {titles[q]: told for q in titles if (told := _compared(together, shown, row, base, q))}
        if parts:
            named = {"data": row.data, "recipe": row.recipe, "minus": base.recipe}
            cells = {title: _cell(parts[title]) if title in parts else "–" for title in order}
            lines.append(named | cells)
            exact.append(named | {name: value for t in order if t in parts for name, value in _exact(t, parts[t])})
            ways |= dict.fromkeys(told.how for told in parts.values())
    notes = [f"In brackets: 95 % interval of the difference, {', or '.join(ways)}."] if ways else []
    frame = pd.DataFrame(lines)
    empty = [title for title in order if lines and (frame[title] == "–").all()]
    return Table(frame.drop(columns=empty), notes, exact=pd.DataFrame(exact) if exact else None)


def _pairs(together: Joined, found: Sequence[Row]) -> Iterable[tuple[Row, Row]]:
    """Rows of other folders, each with the one of the first folder that it is compared with."""
    places = [(row, *together.recipe_and_folder(row.recipe)) for row in found]
    first = together.folders[0]
    for row, recipe, folder in places:
        if folder == first or not folder:
            continue
        there = [(base, name) for base, name, home in places if home == first and base.data == row.data]
        beside = [name for other, name, home in places if home == folder and other.data == row.data]
        same = [base for base, name in there if name == recipe]
        alone = [base for base, _ in there] if len(there) == len(beside) == 1 else []
        yield from ((row, base) for base in (same or alone)[:1])


def _compared(
    together: Joined, shown: Mapping[str, Shown], row: Row, base: Row, quantity: Quantity
) -> Compared | None:
    """Two rows by one quantity; None where one of them lacks it."""
    ones, others = (
        [shown[record.key] for record in part.records if record.quantity == quantity] for part in (row, base)
    )
    return compared_by(together.records, ones, others) if ones and others else None


def _cell(told: Compared) -> str:
    return change(told.quantity, told.difference, told.interval, told.means[0])


def _exact(title: str, told: Compared) -> list[tuple[str, Any]]:
    factor, (low, high) = factor_of(told.quantity), told.interval
    return [(title, factor * told.difference), (title + LOW, factor * low), (title + HIGH, factor * high)]

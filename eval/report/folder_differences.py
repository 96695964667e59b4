"""What lies in several folders against what lies in the first of them, number by number."""

from collections.abc import Iterable, Sequence

import pandas as pd

from eval.records import Record
from eval.report.chosen_numbers import all_shown
from eval.report.comparing import Compared, compared_by
from eval.report.joining import Joined
from eval.report.sentences import change
from eval.report.tables import is_beside
from eval.tables.exact import HIGH, LOW, factor_of
from eval.tables.lines import by_title
from eval.tables.rows import Row, rows
from eval.tables.table import Table

Titled = tuple[Row, dict[str, list[Record]]]
"""A row, and its records by the titles of their columns."""


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
    records = [one.record for one in shown.values()]
    found = rows(records)
    titles, by_titles = by_title(found, records)
    compared = []
    for (row, own), (base, of_base) in _pairs(together, [*zip(found, by_titles, strict=True)]):
        parts = {}
        for title in [title for title in titles if title in own and title in of_base]:
            pair = [[shown[record.key] for record in part[title]] for part in (own, of_base)]
            if told := compared_by(together.records, *pair):
                parts[title] = told
        if parts:
            compared.append(({"data": row.data, "recipe": row.recipe, "minus": base.recipe}, parts))
    filled = [title for title in titles if any(title in parts for _, parts in compared)]
    lines = [named | {t: _cell(parts[t]) if t in parts else "–" for t in filled} for named, parts in compared]
    exact = [
        named | {k: v for t in filled if t in parts for k, v in _exact(t, parts[t])} for named, parts in compared
    ]
    ways = dict.fromkeys(told.how for _, parts in compared for told in parts.values())
    notes = [f"In brackets: 95 % interval of the difference, {', or '.join(ways)}."] if ways else []
    return Table(pd.DataFrame(lines), notes, exact=pd.DataFrame(exact) if exact else None)


def _pairs(together: Joined, found: Sequence[Titled]) -> Iterable[tuple[Titled, Titled]]:
    """Rows of other folders, each with the one of the first folder that it is compared with."""
    places = [(titled, *together.recipe_and_folder(titled[0].recipe)) for titled in found]
    first = together.folders[0]
    for titled, recipe, folder in places:
        if folder == first or not folder:
            continue
        data = titled[0].data
        there = [(base, name) for base, name, home in places if home == first and base[0].data == data]
        beside = [other for other, _, home in places if home == folder and other[0].data == data]
        same = [base for base, name in there if name == recipe]
        alone = [base for base, _ in there] if len(there) == len(beside) == 1 else []
        yield from ((titled, base) for base in (same or alone)[:1])


def _cell(told: Compared) -> str:
    return change(told.quantity, told.difference, told.interval, told.means[0])


def _exact(title: str, told: Compared) -> list[tuple[str, float]]:
    factor, (low, high) = factor_of(told.quantity), told.interval
    return [(title, factor * told.difference), (title + LOW, factor * low), (title + HIGH, factor * high)]

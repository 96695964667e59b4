"""Tables and pictures of `eval.figures`, from saved records, with the papers' rows below ours."""

import warnings
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from eval.figures import FIGURES
from eval.records import Record, Records
from eval.report.published import Published, figure_beside, samples_beside
from eval.tables.rows import Row, rows
from eval.tables.table import Table

KEYS = ("data", "recipe")
"""Columns of a figure's table by which a paper's row finds its place."""


def figure_tables(records: Records) -> dict[str, Table]:
    """The table of every figure that the records allow, by its heading; one that fails says so in its place."""
    found = {}
    for figure in FIGURES.values():
        if chosen := [r for r in records if r.quantity.kind in figure.kinds]:
            try:
                found[figure.title] = with_papers(figure.name, figure.table(records, chosen), chosen)
            except Exception as error:  # no figure may take the page of all others with it
                found[figure.title] = Table(pd.DataFrame(), [_failed(figure.name, error)])
    return found


def figure_pictures(records: Records) -> dict[str, Figure]:
    """Every picture that the records allow, by the name of its file without ending; one that fails warns."""
    found: dict[str, Figure] = {}
    for figure in FIGURES.values():
        if chosen := [r for r in records if r.quantity.kind in figure.kinds]:
            try:
                drawn = figure.draw(records, chosen)
            except Exception as error:  # as above
                warnings.warn(_failed(figure.name, error), stacklevel=2)
                continue
            found |= {f"{figure.name}-{name}" if name else figure.name: picture for name, picture in drawn.items()}
    return found


def _failed(name: str, error: Exception) -> str:
    return f"The figure {name} could not be made of the records: {type(error).__name__}: {error}."


def with_papers(figure: str, table: Table, chosen: Sequence[Record]) -> Table:
    """A figure's table with the papers' rows below ours; what no column of ours could hold is told in a note.

    Args:
        figure: by name.
        table: of it.
        chosen: the records that it was made of.
    """
    published = [(row, found) for row in rows(chosen) if (found := figure_beside(figure, row)) is not None]
    told = [_note(row, found) for row, found in published if not _placed(table, row, found)]
    told += [
        one for data in dict.fromkeys(r.subject.samples.data for r in chosen) for one in samples_beside(figure, data)
    ]
    lines: list[dict[str, Any]] = table.frame.to_dict("records")
    for row, found in published:
        if line := _placed(table, row, found):
            lines.insert(1 + max(i for i, own in enumerate(lines) if _is_of(own, row, found)), line)
    return Table(pd.DataFrame(lines, columns=table.frame.columns), [*table.notes, *told])


def _placed(table: Table, row: Row, found: Published) -> dict[str, Any]:
    """The paper's line in the columns of ours; empty where some figure has no column, or the row is not there."""
    columns = {name: next((c for c in table.frame if name in str(c)), None) for name in found.numbers}
    there = any(_is_of(own, row, found) for own in table.frame.to_dict("records"))
    if None in columns.values() or not there:
        return {}
    line: dict[str, Any] = dict.fromkeys(table.frame.columns, "–") | {"data": "", "recipe": f"  {found.label}"}
    return line | dict(found.place) | {str(columns[name]): _text(pair) for name, pair in found.numbers.items()}


def _is_of(line: dict[str, Any], row: Row, found: Published) -> bool:
    """Whether a line is about the models of a row, by their names in tables or by their own, and of what is found."""
    first = row.records[0].model
    names = ((row.data, first.data), (row.recipe, first.recipe))
    named = all(line.get(key) in known for key, known in zip(KEYS, names, strict=True))
    return named and all(line.get(column) == value for column, value in found.place.items())


def _note(row: Row, found: Published) -> str:
    numbers = ", ".join(f"{name} {_text(pair)}" for name, pair in found.numbers.items())
    return f"{row.data}, {row.recipe}, {found.label}: {numbers}."


def _text(pair: tuple[float, ...]) -> str:
    return " ± ".join(f"{part:.3f}" for part in pair)

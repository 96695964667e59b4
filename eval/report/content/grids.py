"""Tables of texts as grids: which columns are names, and numbers in parts, so that points stand below each other."""

import re
from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from eval.report.content.marks import Mark, Place
from eval.report.content.parts import Cell, Column, Grid, Line

NAMES = ("data", "recipe", "folder", "estimator", "setting", "of", "measurement", "figure", "sweep")
"""Columns that say what a line is about."""
NUMBER = re.compile(r"([<>]?\s?[+−-]?\d+|∞)(\.\d+(?:e[+-]?\d+)?|e[+-]?\d+)?((?:\s|%|\[|$).*)", re.DOTALL)
NONE = ("–", "")


def grid(caption: str, frame: pd.DataFrame, file: str = "", marks: Mapping[Place, Mark] | None = None) -> Grid:
    """A table as it stands on the page.

    Args:
        caption: what it is a table of.
        frame: of texts.
        file: that holds it.
        marks: of cells, by data, recipe and column.
    """
    texts = frame.astype(str).to_dict("list")
    columns = [_column(str(title), column) for title, column in texts.items()]
    cells = [
        [cell(text) if column.whole else Cell(text) for text in found]
        for column, found in zip(columns, texts.values(), strict=True)
    ]
    lines, last = [], ""
    for found in zip(*cells, strict=True):
        line = {column.title: one for column, one in zip(columns, found, strict=True)}
        data = line["data"].text if "data" in line else last
        of_paper, begins = "data" in line and not data, data not in ("", last)
        lines.append(Line(_marked(line, marks or {}), of_paper, begins))
        last = data or last
    return Grid(caption, columns, lines, file)


def cell(text: str) -> Cell:
    """A number in its parts; all in one where it is none.

    Example:
        >>> cell("0.218 ± 0.006")
        Cell(whole='0', fraction='.218', rest=' ± 0.006', sign='', meaning='')
        >>> cell("> 2").whole, cell("1.5e-07").fraction, cell("P (ε 0.1)").whole
        ('> 2', '.5e-07', 'P (ε 0.1)')
    """
    found = NUMBER.fullmatch(text)
    return Cell(found[1], found[2] or "", found[3]) if found else Cell(text)


def _column(title: str, texts: list[str]) -> Column:
    known = [text for text in texts if text not in NONE]
    if title in NAMES or not known or not all(map(NUMBER.fullmatch, known)):
        return Column(title, names=title in NAMES)
    cells = [cell(text) for text in texts]
    return Column(title, False, max(len(c.whole) for c in cells), max(len(c.fraction) for c in cells))


def _marked(line: Mapping[str, Cell], marks: Mapping[Place, Mark]) -> list[Cell]:
    """The cells of a line, with the signs that belong to them."""
    data, recipe, folder = (line[name].text if name in line else "" for name in ("data", "recipe", "folder"))
    recipe = f"{recipe} ({folder})" if folder else recipe
    found = []
    for title, one in line.items():
        mark = marks.get((data, recipe, title))
        found.append(replace(one, sign=mark.sign, meaning=mark.meaning) if mark else one)
    return found

"""What a picture shows, in numbers, for who cannot see it: from the table that it stands with."""

import pandas as pd

from eval.records.identity import slug
from eval.report.content.grids import NAMES, NUMBER

MOST_LINES, MOST_COLUMNS = 8, 2
NOT_FOUND = ("models", "seed", "seeds", "samples", "settings", "left out", "runs", "n")
"""Columns of numbers that were not found but chosen."""


def alt(name: str, caption: str, frame: pd.DataFrame, wanted: tuple[str, ...] = ()) -> str:
    """The caption and the numbers of the table that the picture draws.

    Args:
        name: of the picture's files, without ending.
        caption: what is drawn.
        frame: the table that says its numbers.
        wanted: beginnings of the titles of columns that are drawn; the first with numbers where there are none.
    """
    lines = _about(name, frame)
    columns = _columns(lines, wanted)
    if lines.empty or not columns:
        return f"{caption}."
    told = [f"{_who(line)}: {', '.join(f'{title} {line[title]}' for title in columns)}" for line in _records(lines)]
    more = len(told) - MOST_LINES
    rest = f"; and {more} more in the table" if more > 0 else ""
    return f"{caption}. {'; '.join(told[:MOST_LINES])}{rest}."


def data_of(name: str, frame: pd.DataFrame) -> str:
    """The data set that a picture is of, by the name of its files; empty where the table has none such."""
    if "data" not in frame:
        return ""
    named = [data for data in dict.fromkeys(frame["data"].astype(str)) if data and slug(data) in name]
    return max(named, key=len, default="")


def _about(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The lines of its data set and, where the name says one, its recipe."""
    data = data_of(name, frame)
    lines = frame[frame["data"].astype(str) == data] if data else frame
    if "recipe" not in lines:
        return lines
    recipes = [r for r in dict.fromkeys(lines["recipe"].astype(str)) if f"{slug(data)}-{slug(r)}-" in name]
    return lines[lines["recipe"] == max(recipes, key=len)] if data and recipes else lines


def _columns(lines: pd.DataFrame, wanted: tuple[str, ...]) -> list[str]:
    numbers = [
        str(title)
        for title, column in lines.items()
        if title not in (*NAMES, *NOT_FOUND) and any(NUMBER.fullmatch(str(text)) for text in column)
    ]
    chosen = [title for title in numbers if title.startswith(wanted)] if wanted else []
    return (chosen or numbers)[:MOST_COLUMNS]


def _records(lines: pd.DataFrame) -> list[dict[str, str]]:
    return [{str(key): str(value).strip() for key, value in line.items()} for line in lines.to_dict("records")]


def _who(line: dict[str, str]) -> str:
    return ", ".join(line[key] for key in ("recipe", "estimator", "of", "setting") if line.get(key)) or "in all"

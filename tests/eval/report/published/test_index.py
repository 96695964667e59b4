"""Every table and figure of the papers is named, with what makes it."""

import re

import pytest

from eval.report.published import index
from eval.report.published.content import tables

MADE = {
    "paper 1": {
        "Table": ["1", "2", "3", "4", "5", "6", "7", "S1", "S2"],
        "Fig.": ["1", "6", "7", "8", "9", "S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9"],
    },
    "paper 2": {
        "Table": ["1", "2", "3", "4"],
        "Fig.": ["1", "3", "4", "5", "6", "7", "8", "S1", "S2", "S3", "S4", "S5", "S6", "S7"],
    },
    "paper 3": {
        "Table": ["1", "2", "3", "4", "5"],
        "Fig.": ["2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"],
    },
}
"""All that are no drawings of a method: papers 1's Figs. 2 to 5, 2's Fig. 2 and 3's Fig. 1 are."""


def numbers(item: str) -> list[str]:
    """Of an entry, such as S1, S2 and S3 of "Figs. S1–S3"."""
    found = re.findall(r"(S?)(\d+)(?:–S?(\d+))?", item.partition(" ")[2])
    return [f"{mark}{n}" for mark, low, high in found for n in range(int(low), int(high or low) + 1)]


@pytest.mark.parametrize("paper", MADE)
@pytest.mark.parametrize("kind", ["Table", "Fig."])
def test_every_table_and_figure_has_an_entry(paper: str, kind: str) -> None:
    stem = kind.rstrip(".")
    items = [entry.item for entry in index() if entry.paper == paper and entry.item.startswith(stem)]
    assert sorted(n for item in items for n in numbers(item)) == sorted(MADE[paper][kind])


def test_every_transcribed_table_has_an_entry() -> None:
    named = {f"{entry.paper}, {entry.item}" for entry in index()}
    holds = ("models", "correlations", "figure", "settings")
    assert {where for of in holds for where, _ in tables(of)} <= named


def test_a_table_of_a_figure_names_that_figure() -> None:
    of_entry = {f"{entry.paper}, {entry.item}": entry.figures for entry in index()}
    for where, content in tables("figure"):
        assert content["figure"] in of_entry[where]

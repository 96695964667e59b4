"""Numbers of a column in parts, and what is marked."""

import pandas as pd
import pytest

from eval.report.content.grids import cell, grid
from eval.report.content.marks import Mark


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("96.3 ± 0.2", ("96", ".3", " ± 0.2")),
        ("0.31 [0.29, 0.33]", ("0", ".31", " [0.29, 0.33]")),
        ("> 2", ("> 2", "", "")),
        ("1.04e+03", ("1", ".04e+03", "")),
        ("+1.2 %", ("+1", ".2", " %")),
        ("−0.5", ("−0", ".5", "")),
        ("∞", ("∞", "", "")),
        ("0 of 8", ("0", "", " of 8")),
        ("ε = 0.2", ("ε = 0.2", "", "")),
        ("3/5", ("3/5", "", "")),
        ("–", ("–", "", "")),
    ],
)
def test_a_number_falls_into_what_stands_before_the_point_after_it_and_behind(
    text: str, parts: tuple[str, ...]
) -> None:
    found = cell(text)
    assert (found.whole, found.fraction, found.rest) == parts
    assert found.text == text


def test_columns_of_numbers_are_as_wide_as_their_widest_part() -> None:
    frame = pd.DataFrame(
        {"data": ["7", "7"], "ε50%": ["0.0152 ± 0.1", "12.5"], "said": ["0.1", "none"], "x": ["–", "–"]}
    )
    found = {column.title: (column.whole, column.fraction, column.names) for column in grid("t", frame).columns}
    assert found == {"data": (0, 0, True), "ε50%": (2, 5, False), "said": (0, 0, False), "x": (0, 0, False)}


def test_lines_of_a_paper_and_the_first_of_a_data_set_are_known() -> None:
    frame = pd.DataFrame({"data": ["a", "", "a", "b"], "recipe": ["B", "  paper", "P", "B"]})
    assert [(line.of_paper, line.begins) for line in grid("t", frame).lines] == [
        (False, True),
        (True, False),
        (False, False),
        (False, True),
    ]


def test_in_a_comparison_a_mark_belongs_to_a_recipe_of_a_folder() -> None:
    frame = pd.DataFrame({"data": ["d"] * 3, "recipe": ["P", "P", "Q"], "folder": ["a", "b", ""], "x": ["1"] * 3})
    marks = {("d", recipe, "x"): Mark(sign, "") for recipe, sign in (("P (b)", "▲"), ("Q", "▼"))}
    assert [line.cells[3].sign for line in grid("t", frame, marks=marks).lines] == ["", "▲", "▼"]


def test_a_mark_stands_in_its_cell_alone() -> None:
    frame = pd.DataFrame({"data": ["a", "b"], "recipe": ["P", "P"], "x": ["1.0", "2.0"]})
    lines = grid("t", frame, marks={("b", "P", "x"): Mark("▲", "higher than B")}).lines
    assert [[cell.sign for cell in line.cells] for line in lines] == [["", "", ""], ["", "", "▲"]]
    assert lines[1].cells[2].meaning == "higher than B"

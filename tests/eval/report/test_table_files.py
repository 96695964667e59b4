"""Tables as files: every digit in CSV, and what a paper and GitHub need in LaTeX and Markdown."""

import math
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest

from eval.records import Quantity
from eval.report.published import beside
from eval.report.table_files import table_files
from eval.report.tables import all_tables, cost_table, side_by_side, theory_check
from eval.tables.latex import FORMULAS, SPECIAL, latex, text
from eval.tables.markdown import markdown
from eval.tables.rows import rows
from eval.tables.table import Table
from tests.eval.made import ACCURACY, ALPHA, PGD, PGD_L2, model, record, written

SPHERES = "Spheres100"


def csv(table: Table) -> pd.DataFrame:
    return pd.read_csv(StringIO(table_files(table, "Side by side", "table")["table.csv"]))


def test_numbers_in_csv_are_those_of_the_records_with_every_digit(tmp_path: Path) -> None:
    first, second = 0.1234567890123, 0.9876543210987
    made = [record(ACCURACY, value, model(seed=seed)) for seed, value in enumerate((first, second))]
    made += [
        record(PGD, 1 / 3, model(recipe="P"), interval=(2 / 7, 4 / 7)),
        record(ALPHA, math.inf, model(recipe="P")),
    ]
    found = csv(side_by_side(written(tmp_path, made))).set_index("recipe")
    assert found["accuracy %"]["B"] == pytest.approx(50 * (first + second), rel=1e-15)
    assert found["accuracy % ±"]["B"] == pytest.approx(100 * (second - first) / 2**0.5, rel=1e-13)
    assert found["ε50% PGD L∞"]["P"] == 1 / 3
    assert (found["ε50% PGD L∞ low"]["P"], found["ε50% PGD L∞ high"]["P"]) == (2 / 7, 4 / 7)
    assert found["α_Δx"]["P"] == math.inf
    assert math.isnan(found["ε50% PGD L∞"]["B"])
    assert found.models.tolist() == [2, 1]


def test_the_paper_s_row_stands_in_csv_with_its_numbers(tmp_path: Path) -> None:
    samples = {"network": {"network": "cnn", "options": {}}}
    made = [record(q, 0.5, model("MNIST-3/5", "B"), **samples) for q in (ACCURACY, PGD, PGD_L2)]
    records = written(tmp_path, made)
    (row,) = rows(records)
    published = beside(row)
    assert published is not None
    found = csv(side_by_side(records))
    assert found.recipe.tolist() == ["B", f"B, {published.label}"]
    mean, over = published.numbers["epsilon50_pgd_linf"]
    assert found["ε50% PGD L∞"].tolist() == [0.5, mean]
    assert found["ε50% PGD L∞ ±"][1] == over
    assert found["accuracy %"][1] == pytest.approx(100 * published.numbers["accuracy"][0])


def test_ratios_and_costs_are_whole_in_csv(tmp_path: Path) -> None:
    made = [record(PGD_L2, 0.1, model(SPHERES)), record(ALPHA, 0.7, model(SPHERES), seconds=1 / 3)]
    records = written(tmp_path, made)
    assert csv(theory_check(records))["ε50% L2 / α_Δx"].tolist() == [0.1 / 0.7]
    assert csv(cost_table(records))["seconds, all models"].tolist() == [0.1, 1 / 3]


def test_every_table_has_its_three_forms(tmp_path: Path) -> None:
    records = written(tmp_path, [record(ACCURACY), record(PGD, 0.2)])
    for heading, table in all_tables(records).items():
        assert [*table_files(table, heading, "x")] == ["x.csv", "tables/x.tex", "tables/x.md"]
    assert [*table_files(Table(pd.DataFrame(), ["failed"]), "y", "x")] == ["x.csv"]


def test_latex_has_rules_of_booktabs_and_numbers_to_the_right() -> None:
    frame = pd.DataFrame({"data": ["a_b & c", "[d]"], "α_x": ["-0.05 ± 0.01", "–"], "ε50% PGD L∞": ["> 1.4", "∞"]})
    lines = latex(Table(frame, ["50 % of it."]), "Side by side", "table").splitlines()
    assert r"\begin{tabular}{lrr}" in lines
    assert [r"\toprule" in lines, r"\midrule" in lines, r"\bottomrule" in lines] == [True] * 3
    assert r"data & $\alpha_x$ & $\varepsilon_{50\%}$ PGD $L_\infty$ \\" in lines
    assert r"a\_b \& c & $-0.05 \pm 0.01$ & $> 1.4$ \\" in lines
    assert r"{[}d] & -- & $\infty$ \\" in lines
    assert r"\label{tab:table}" in lines
    assert "% 50 % of it." in lines


@pytest.mark.parametrize("letter", [*FORMULAS, *SPECIAL])
def test_no_letter_is_left_that_latex_has_not(letter: str) -> None:
    told = text(letter)
    assert told.isascii()
    assert told != letter or letter in ("\n",)


def test_every_title_of_a_quantity_is_plain_latex() -> None:
    from eval.records.quantity import KINDS

    titles = [*KINDS.values(), Quantity("epsilon50", "pgd", "Linf").title, "ε50% L2 / α_Δx", "½‖Δx‖", "‖g_n‖ → 0"]
    assert [title for title in titles if not text(title).isascii()] == []
    assert text("sim(Δx, Δ̂x)") == r"sim($\Delta$x, $\hat{\Delta}$x)"


def test_markdown_escapes_and_aligns() -> None:
    table = Table(pd.DataFrame({"recipe": ["a|b", "  paper"], "α_x": ["0.5 [0.4, 0.6]", "–"]}), ["*not* this"])
    assert markdown(table).splitlines() == [
        r"| recipe | α\_x |",
        "|---|---:|",
        r"| a\|b | 0.5 \[0.4, 0.6\] |",
        "| paper | – |",
        "",
        r"- \*not\* this",
    ]

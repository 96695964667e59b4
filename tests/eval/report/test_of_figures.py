"""A paper's row stands below ours in the table of a figure."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from eval.figures import FIGURES
from eval.records import Model, Quantity, Record, Records, Samples
from eval.report.of_figures import figure_pictures, figure_tables, with_papers
from eval.tables.table import Table
from tests.eval.made import record


def made(recipe: str, seed: int = 0) -> Record:
    samples = Samples("MNIST", {}, (-1.0, 1.0), "test", 4, "d")
    training: dict[str, Any] = {"model": {"alignment_weight": 0.3}, "trainer": {"max_epochs": 30}}
    named, network = Model("digits of MNIST", recipe, seed=seed), {"network": "resnet18"}
    return record(Quantity("alpha_dx_other"), 0.4, named, samples_of=samples, training=training, network=network)


def of(*recipes: str, columns: dict[str, str] | None = None) -> Table:
    told = columns or {"α_Δx at c̃(x)": "0.500", "mean over other classes": "0.400", "other / c̃(x)": "0.80"}
    return Table(pd.DataFrame([{"data": "MNIST", "recipe": recipe} | told for recipe in recipes]), ["so"])


def test_the_paper_s_row_stands_below_the_last_of_ours() -> None:
    table = with_papers("other_classes", of("Lα", "Lα", "mine"), [made("Lα"), made("Lα", 1), made("mine")])
    assert list(table.frame.recipe) == ["Lα", "Lα", "  paper", "mine"]
    assert list(table.frame.iloc[2]) == ["", "  paper", "0.592 ± 0.009", "0.478 ± 0.008", "–"]
    assert table.notes == ["so"]


def test_it_stands_below_the_measure_that_it_is_of() -> None:
    forms = ("∇(logit_c̃ − logit_y)", "∇(logit_c* − logit_m(x))", "∇logit_y", "∇logit_m(x)")
    lines = [{"data": "MNIST", "recipe": "Lα", "α": α} | dict.fromkeys(forms, "0.3") for α in ("α_x", "α_Δx")]
    frame = with_papers("variants", Table(pd.DataFrame(lines)), [made("Lα")]).frame
    assert list(frame.recipe) == ["Lα", "  paper", "Lα"]
    assert list(frame.iloc[1]) == ["", "  paper", "α_x", "0.267", "0.267", "0.320", "0.320"]


def test_samples_of_a_table_are_told_below() -> None:
    spheres = Samples("Spheres", {}, (-math.inf, math.inf), "test", 4, "d")
    (first, second) = with_papers("residual_grid", Table(pd.DataFrame()), [record(samples_of=spheres)]).notes
    assert first == (
        "paper 1, Table 1, a sample of class -1: ‖x‖₂ 1, ‖Δ̂x‖₂ 0.307, ‖x̂′‖₂ 1.27, ‖x′‖₂ 1.3, sim(Δx, Δ̂x) 0.858."
    )
    assert second.startswith("paper 1, Table 1, a sample of class 1: ‖x‖₂ 1.3")


@pytest.mark.parametrize("columns", [{"α": "0.500"}, {"at c̃(x)": "0.500"}])
def test_what_has_no_column_is_told_below(columns: dict[str, str]) -> None:
    table = with_papers("other_classes", of("Lα", columns=columns), [made("Lα")])
    assert list(table.frame.recipe) == ["Lα"]
    assert table.notes[1] == "MNIST, Lα, paper: c̃(x) 0.592 ± 0.009, other classes 0.478 ± 0.008."


def test_a_figure_of_no_paper_s_table_is_left_as_it_is() -> None:
    table = of("Lα")
    left = with_papers("linearity", table, [made("Lα")])
    pd.testing.assert_frame_equal(left.frame, table.frame)
    assert left.notes == table.notes


def test_a_figure_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(records: Records, chosen: Sequence[Record]) -> Any:
        raise ZeroDivisionError("of nothing")

    broken = replace(FIGURES["other_classes"], table=fails, draw=fails)
    monkeypatch.setitem(FIGURES, "other_classes", broken)
    records = Records({Path("one.json"): made("Lα")})
    with pytest.warns(UserWarning, match=r"other_classes could not be made of the records: ZeroDivisionError"):
        assert not [name for name in figure_pictures(records) if name.startswith("other_classes")]
    assert figure_tables(records)[broken.title].notes == [
        "The figure other_classes could not be made of the records: ZeroDivisionError: of nothing."
    ]

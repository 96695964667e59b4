"""Figures that are drawn from the log of a training: what stands in their tables, and what their pictures draw."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eval.figures import FIGURES
from eval.figures.kind import FigureKind
from eval.figures.panels import legend_below, lined, panels
from eval.figures.style import OTHERS
from eval.records import Quantity, Record, Records, Results
from eval.report import write_report
from eval.tables import Row
from tests.eval.made import model, record

LAYERS = pd.DataFrame(
    {
        "epoch": [0, 0, 1, 1],
        "layer": ["b.weight", "a.bias"] * 2,
        "cosine": [0.5, -0.5, 0.7, -0.1],
        "opposed": [0.0, 1.0, 0.25, 0.75],
    }
)
CURVE = pd.DataFrame(
    {
        "epoch": [0, 1, 2],
        "train_adversarial": [3.0, 2.0, 1.0],
        "val_clean": [2.0, np.nan, 1.0],
        "val_adversarial": [2.5, 1.5, 1.75],
    }
)
CONFLICT = pd.DataFrame(
    {
        "epoch": [0, 1],
        "mu": [4.0, 1.0],
        "cosine": [0.25, 0.5],
        "clean_norm": [2.0, 1.0],
        "adversarial_norm": [3.0, 2.0],
        "gop_frequency": [np.nan, 0.5],
    }
)
COST = pd.DataFrame({"epoch": [0, 1, 2], "seconds": [9.0, 2.0, 4.0], "peak_mb": [100.0, 300.0, 200.0]})


def logged(
    folder: Path, kind: str, by_recipe: dict[str, pd.DataFrame], **changes: object
) -> tuple[Records, list[Record]]:
    results, quantity = Results(folder), Quantity(kind, settings={"source": "training log"})
    for recipe, table in by_recipe.items():
        one = record(quantity, 1.0, model("d", recipe), **changes)
        results.home(one.model, one.subject.model_key).write(one, table)
    records = results.load()
    return records, [*records]


def shown(name: str, records: Records, chosen: list[Record]) -> tuple[pd.DataFrame, FigureKind]:
    figure = FIGURES[name]
    return figure.table(records, chosen).frame, figure


def test_layers_stand_in_the_order_of_the_network_and_epochs_to_the_right(tmp_path: Path) -> None:
    records, chosen = logged(tmp_path, "layer_cosine", {"AT": LAYERS, "TRADES": LAYERS.assign(cosine=0.9)})
    frame, figure = shown("layer_conflict", records, chosen)
    line = frame.iloc[0]
    assert line["smallest mean"] == "-0.300 (a.bias)"
    assert line["opposed"] == "50.0 %"
    assert (line["first epoch"], line["last epoch"]) == ("0.000", "0.300")
    (drawn,) = figure.draw(records, chosen).values()
    image = drawn.axes[0].images[0]
    np.testing.assert_array_equal(image.get_array(), [[0.5, 0.7], [-0.5, -0.1]])
    assert [text.get_text() for text in drawn.axes[0].get_yticklabels()] == ["b.weight", "a.bias"]
    assert image.get_clim() == (-1, 1)
    assert drawn.axes[1].get_title() == "TRADES"


def test_curves_are_drawn_where_they_were_logged(tmp_path: Path) -> None:
    records, chosen = logged(tmp_path, "training_curve", {"AT": CURVE})
    frame, figure = shown("training_curves", records, chosen)
    line = frame.iloc[0]
    assert (line["adversarial, training"], line["clean, validation"]) == ("1.000", "1.000")
    assert line["rise, validation"] == "0.250"
    assert not any("test" in column for column in frame)
    (drawn,) = figure.draw(records, chosen).values()
    lines = {line.get_label(): line for line in drawn.axes[0].lines}
    assert lines.keys() == {"adversarial, training", "clean, validation", "adversarial, validation"}
    np.testing.assert_array_equal(lines["clean, validation"].get_xdata(), [0, 2])  # not in every epoch
    assert lines["clean, validation"].get_linestyle() == "-"
    assert lines["adversarial, validation"].get_linestyle() == "--"


def test_the_conflict_and_its_factors_have_a_panel_each(tmp_path: Path) -> None:
    plain = CONFLICT.drop(columns="gop_frequency")
    records, chosen = logged(tmp_path, "conflict_course", {"AT": plain, "CA-AT": CONFLICT})
    frame, figure = shown("conflict_course", records, chosen)
    assert [*frame["mean μ"]] == ["2.5", "2.5"]
    assert [*frame["opposed tensors, share, last epoch"]] == ["–", "0.5"]
    (drawn,) = figure.draw(records, chosen).values()
    assert [axis.get_ylabel() for axis in drawn.axes] == ["μ", "cos(g_n, g_a)", "‖g_n‖", "‖g_a‖"]
    np.testing.assert_array_equal(drawn.axes[0].lines[1].get_ydata(), [4, 1])
    assert drawn.axes[0].get_yscale() == "log"


@pytest.mark.parametrize("memory", [True, False])
def test_the_cost_is_a_median_and_the_memory_a_peak(tmp_path: Path, memory: bool) -> None:
    cost = COST if memory else COST.drop(columns="peak_mb")
    dear = cost.assign(seconds=2 * cost.seconds)
    told = {"details": {"peak_mb": "allocated on the GPU"} if memory else {}}
    records, chosen = logged(tmp_path, "epoch_cost", {"AT": cost, "AT + AGR": dear}, **told)
    frame, figure = shown("epoch_cost", records, chosen)
    assert [*frame["seconds per epoch"]] == ["4", "8"]
    assert [*frame["times the cheapest"]] == ["1.00", "2.00"]
    assert ("peak memory, MB" in frame) == memory
    (drawn,) = figure.draw(records, chosen).values()
    assert len(drawn.axes) == 1 + memory
    assert [bar.get_width() for bar in drawn.axes[0].patches] == [4, 8]
    if memory:
        assert [bar.get_width() for bar in drawn.axes[1].patches] == [300, 300]


def test_models_that_shared_their_seconds_are_told(tmp_path: Path) -> None:
    records, chosen = logged(tmp_path, "epoch_cost", {"AT": COST}, provenance={"side_by_side": 4}, details={})
    assert FIGURES["epoch_cost"].table(records, chosen).notes[-1].startswith("Some were trained 4 at a time")


@pytest.mark.slow
def test_they_stand_on_the_page_each_under_its_heading_and_not_among_the_models(tmp_path: Path) -> None:
    for kind, table in (("layer_cosine", LAYERS), ("training_curve", CURVE), ("epoch_cost", COST)):
        logged(tmp_path, kind, {"AT": table}, details={})
    logged(tmp_path, "conflict_course", {"AT": CONFLICT})
    logged(tmp_path, "accuracy", {"AT": pd.DataFrame({"index": range(4), "label": 0, "predicted": 0})})
    tables = write_report(tmp_path)
    names = ("layer_conflict", "training_curves", "epoch_cost", "conflict_course")
    assert {FIGURES[name].title for name in names} <= tables.keys()
    assert len(tables["Side by side"].frame.columns) == 4  # data, recipe, models, accuracy
    pictures = {file.name for file in (tmp_path / "plots").iterdir()}
    assert pictures == {f"{name}-d.{form}" for name in names for form in ("svg", "pdf")}


def test_more_recipes_than_colours_are_told_apart_by_their_lines() -> None:
    rows = [Row("d", f"recipe {number}", []) for number in range(len(OTHERS) + 3)]
    styles = [(look.color, look.linestyle, look.marker) for _, look in lined(rows)]
    assert len({*styles}) == len(styles)


def test_a_legend_stands_below_all_panels_once() -> None:
    figure, axes = panels(2)
    for axis in axes:
        for name in ("short", "a recipe of a name that is rather long, with its settings"):
            axis.plot([0, 1], [0, 1], label=name)
    legend_below(figure, axes)
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 2
    figure.draw_without_rendering()
    box, below = legend.get_window_extent(), min(axis.get_window_extent().y0 for axis in axes)
    assert box.y1 < below
    assert box.width < figure.bbox.width

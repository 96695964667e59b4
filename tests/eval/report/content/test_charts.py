"""Interactive views: their numbers are those of the tables."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eval.records import Model, Records
from eval.report.content.charts import FEWEST, correlation_charts, curve_charts
from eval.report.correlating import correlation_table
from tests.eval.made import ALPHA, PGD, PGD_L2, record, written

vl_convert = pytest.importorskip("vl_convert", reason="needs the extra page")


def swept(folder: Path) -> Records:
    """Two seeds at each of three ε."""
    return written(
        folder,
        [
            record(
                quantity,
                value / step + seed / 50,
                Model("d", "P", f"0.{step}", seed, ("sweep",), sweeps=(("epsilon",),)),
            )
            for step in (1, 2, 3)
            for seed in (0, 1)
            for quantity, value in ((PGD, 0.5), (PGD_L2, 0.7), (ALPHA, 0.9))
        ],
    )


def test_the_points_of_a_view_have_the_correlation_of_the_table(tmp_path: Path) -> None:
    records = swept(tmp_path)
    (chart,) = correlation_charts(records)
    points = pd.DataFrame(chart.spec["data"]["values"])  # type: ignore[index]
    table = correlation_table(records).frame
    assert {*points.robustness} == {"ε50% PGD L∞", "ε50% PGD L2"} == {*table.robustness}
    for line in table.to_dict("records"):
        drawn = points[(points.robustness == line["robustness"]) & (points.alignment == line["metric"])]
        assert len(drawn) == line["models"] == 6
        assert float(line["Pearson"].split(" ")[0]) == pytest.approx(np.corrcoef(drawn.x, drawn.y)[0, 1], abs=1e-3)
    first = points.iloc[0]
    assert (first.model, first.setting, first.seed) == ("P", "ε = 0.1", 0)


def test_a_curve_is_the_share_of_radii_above_each_strength(tmp_path: Path) -> None:
    (chart,) = curve_charts(written(tmp_path, [record(PGD, 0.2)]))
    drawn = [(point["epsilon"], point["accuracy"]) for point in chart.spec["data"]["values"]]  # type: ignore[index]
    assert drawn == [
        (0.0, 75.0),
        (0.05, 50.0),
        (0.15, 25.0),
    ]  # radii 0, 0.1, 0.3 and none, in the middle of failed_at


def test_a_radius_below_a_strength_that_failed_is_what_was_verified(tmp_path: Path) -> None:
    """At 0.4 the attack failed, and at a larger strength it found an example at 0.2."""
    outcomes = pd.DataFrame({"index": [0], "label": 0, "radius": 0.2, "failed_at": 0.4})
    (chart,) = curve_charts(written(tmp_path, [record(PGD, 0.2)], outcomes))
    drawn = [(point["epsilon"], point["accuracy"]) for point in chart.spec["data"]["values"]]  # type: ignore[index]
    assert drawn == [(0.0, 100.0), (0.2, 0.0)]


def test_many_models_have_fewer_points_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eval.report.content.charts.POINTS", 30)
    outcomes = pd.DataFrame({"index": range(200), "label": 0, "radius": np.linspace(0.1, 1, 200), "failed_at": 0.1})
    records = written(tmp_path, [record(PGD, 0.2, Model("d", "B", seed=seed)) for seed in range(3)], outcomes)
    (chart,) = curve_charts(records)
    assert len(chart.spec["data"]["values"]) == 3 * (FEWEST + 1)  # type: ignore[arg-type,index]


@pytest.mark.parametrize("made", [correlation_charts, curve_charts])
def test_a_view_is_of_the_language_of_vega_lite(tmp_path: Path, made: Any) -> None:
    for chart in made(swept(tmp_path)) or made(written(tmp_path / "b", [record(PGD, 0.2)])):
        compiled = vl_convert.vegalite_to_vega(json.dumps(chart.spec))
        assert {"marks", "scales", "signals"} <= compiled.keys()

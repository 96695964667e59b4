"""What is measured: numbers for tables, and figures by name."""

from pathlib import Path

import pytest
import torch

from eval import measure
from eval.figures import FIGURES
from eval.figures.other_classes import OtherClasses
from eval.figures.wanted import all_measurements
from eval.records.measurements import Alignment
from eval.report import write_report
from training import build_network
from training.data import Digits


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"figures": "linearity"}, "`figures` should be a list, such as"),
        ({"figures": ["lineraity"]}, "`figures` should be one of"),
        ({"figure_options": {"other_classes": {}}}, "`figure_options` should be one of"),
        (
            {"figures": ["other_classes"], "figure_options": {"other_classes": {"a": 1}}},
            "`figure_options, other_class",
        ),
        ({"figures": ["descent"]}, "`figure_options` should hold epsilon for descent"),
        ({"figures": ["epoch_cost"]}, "leave out epoch_cost.*what a training logged"),
    ],
)
def test_what_cannot_be_measured_is_refused(asked: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        all_measurements(**asked)


def test_figures_alone_take_the_estimator_that_is_named() -> None:
    found = all_measurements(figures=["other_classes"], only="figures", residual="nearest-odd")
    assert found == [Alignment("nearest-odd"), OtherClasses("nearest-odd")]
    both = all_measurements(figures=["other_classes"])  # with α_Δx, which it needs too, once
    assert len(both) == len(all_measurements(figures=[])) + 1


def test_a_figure_stands_on_the_page_and_not_among_the_models(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, data = build_network("small_cnn", shape=(1, 8, 8), num_classes=10), Digits()
    asked = {"attacks": [], "masking": False, "residual": "nearest", "figures": ["other_classes"]}
    report = measure(network, data, limit=20, out=tmp_path, say=lambda _: None, **asked)
    tables = write_report(tmp_path)
    assert FIGURES["other_classes"].title in tables
    assert "alpha_dx_other" not in " ".join(tables["Side by side"].frame.columns)
    assert "other classes" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert report["alpha_dx_other"].samples == 20
    assert "alpha_dx_other" not in report.per_sample

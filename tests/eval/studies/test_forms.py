"""Presets have a form of the paper's size and, most of them, one that a CPU can finish; all are listed."""

from pathlib import Path

import pytest

from eval.studies import ModelCell, catalogue, load_study, presets
from eval.studies.catalogue import expected
from eval.studies.source import content_of
from eval.studies.wanted import wanted_of


def test_the_fast_form_is_laid_over_the_other() -> None:
    whole, fast = load_study("mnist35"), load_study("mnist35", fast=True)
    assert (whole.name, fast.name) == ("mnist35", "mnist35_fast")
    assert [*whole.first] == ["residual-0", "residual-1"]
    assert not fast.first
    assert {cell.fit["model"]["network"] for cell in whole.cells} == {"resnet18"}
    assert {cell.fit["model"]["network"] for cell in fast.cells} == {"small_cnn"}
    assert all("network_options" not in cell.fit["model"] for cell in fast.cells)


def test_a_study_without_a_fast_form_says_so(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("title: a\nexperiments: {D: {recipes: {B: {}}}}\n")
    with pytest.raises(
        ValueError, match=r"left out for 'own', which has no fast form\. Those that have one are .*mnist35"
    ):
        load_study(str(tmp_path / "own.yaml"), fast=True)


FAST = [name for name in presets() if "fast" in content_of(name)]


@pytest.mark.parametrize("name", FAST)
def test_every_fast_form_can_be_planned_and_measured(tmp_path: Path, name: str) -> None:
    study = load_study(name, fast=True)
    assert study.cells
    for cell in study.cells:
        if isinstance(cell, ModelCell):
            assert all(wanted.measurements for wanted in wanted_of(cell, tmp_path))


def test_a_fast_form_can_be_asked_for_by_its_own_name() -> None:
    """So that the command that a page names, with the name of the study, repeats it."""
    assert load_study("mnist35_fast").source == load_study("mnist35", fast=True).source


def test_the_list_has_every_preset_with_its_title_and_times() -> None:
    told = catalogue()
    for name in presets():
        assert f"{name}: {load_study(name).title}" in told
    assert "choice: " in told
    assert "  paper 1: section A.1" in told
    assert told.count("fast") >= len(presets())
    assert "time not known" not in told


@pytest.mark.parametrize(
    ("source", "fast", "told"),
    [
        ({}, False, "time not known"),
        ({"minutes": {"whole": "600 on one H100", "fast": 4}}, False, "600 minutes on one H100"),
        ({"minutes": {"whole": "600 on one H100", "fast": 4}}, True, "4 minutes"),
        ({"minutes": "20 on one core"}, False, "20 minutes on one core"),
        ({"minutes": "about 60 to 100 for each"}, False, "about 60 to 100 minutes for each"),
        ({"minutes": "the trainings of another"}, False, "the trainings of another"),
        ({"minutes": 600, "fast": {"minutes": 4}}, True, "4 minutes"),
    ],
)
def test_expected_times_are_said_in_minutes(source: dict, fast: bool, told: str) -> None:
    assert expected(source, fast) == told

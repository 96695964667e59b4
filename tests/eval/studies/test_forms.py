"""Presets have a form of the paper's size and, most of them, one that a CPU can finish."""

from pathlib import Path

import pytest

from eval.studies import load_study


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
    with pytest.raises(ValueError, match="`--fast` should be left out for 'own', which has no fast form"):
        load_study(str(tmp_path / "own.yaml"), fast=True)

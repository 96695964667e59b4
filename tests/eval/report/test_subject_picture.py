"""The picture of the first screen: which data set, models and samples it shows."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from eval.figures.gradient_pictures import Shown
from eval.records import Model, Quantity, Records, Results
from eval.report.subject_picture import subject_figures
from tests.eval.made import record


def kept(folder: Path, drawn: dict[tuple[str, str], dict[str, Any]]) -> Records:
    """Records of gradients by data set and recipe, with the targets and the shape of their samples."""
    results = Results(folder)
    for (data, recipe), told in drawn.items():
        shape, targets = told["shape"], told["targets"]
        arrays = {name: np.zeros((len(targets), *shape), np.float32) for name in ("x", "gradient", "residual")}
        arrays |= {"classes": np.array([*"abc"]), "bounds": np.array([-1.0, 1.0])}
        frame = pd.DataFrame(
            {"index": range(len(targets)), "label": told["labels"], "target": targets, "valid": True}
        )
        one = record(Quantity("gradients"), 0.5, Model(data, recipe))
        results.home(one.model, one.subject.model_key).write(one, frame.assign(cosine=0.5), arrays)
    return results.load()


def drawn_of(records: Records, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[Shown]]:
    seen: list[Any] = []

    def drawn(data: str, models: list[Shown]) -> Figure:
        seen.append((data, models))
        return Figure()

    monkeypatch.setattr("eval.report.subject_picture.picture", drawn)
    assert len(subject_figures(records)) == 1
    return seen[0]


IMAGE, VECTOR = (1, 4, 4), (9,)


def test_images_go_before_vectors_and_the_papers_recipes_before_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same: dict[str, Any] = {"labels": [0, 1], "targets": [1, 0]}
    made = {("v", recipe): same | {"shape": VECTOR} for recipe in ("B", "Lα", "P")}
    made |= {("one", "Q"): same | {"shape": IMAGE}}
    made |= {("two", recipe): same | {"shape": IMAGE} for recipe in ("A", "P", "B")}
    data, models = drawn_of(kept(tmp_path, made), monkeypatch)
    assert (data, [model.name for model in models]) == ("two", ["B", "P", "A"])


def test_one_sample_of_each_class_goes_first_and_only_those_that_all_models_agree_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {"shape": IMAGE, "labels": [0, 0, 1, 1]}
    made = {("d", "B"): told | {"targets": [1, 1, 0, 2]}, ("d", "P"): told | {"targets": [1, 1, 2, 2]}}
    _, models = drawn_of(kept(tmp_path, made), monkeypatch)
    assert [[*model.outcomes["index"]] for model in models] == [[0, 3, 1]] * 2
    assert {len(model.arrays["x"]) for model in models} == {3}


def test_without_gradients_there_is_none(tmp_path: Path) -> None:
    results = Results(tmp_path)
    one = record()
    results.home(one.model, one.subject.model_key).write(one, pd.DataFrame({"index": [0]}))
    assert subject_figures(results.load()) == {}

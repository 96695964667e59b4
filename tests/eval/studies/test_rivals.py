"""The nearest example, which all estimators of a study are compared with, is searched for once."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from eval.studies import load_study, run_study
from eval.studies.rivals import nearest_of
from generators.nearest import NearestExample
from training.data import Spheres

LIMIT = 20


def configured(dimensions: int = 4) -> dict[str, Any]:
    return {"dimensions": dimensions, "train_size": 60, "batch_size": 20}


def study_of(folder: Path, *dimensions: int) -> Any:
    experiments = {}
    for size in dimensions:
        data = {"class_path": "training.data.Spheres", "init_args": configured(size)}
        names = {"exact": {}, "nearest": {}, "nearest-even": {}}
        estimators = {name: {"residual": name, **more} for name, more in names.items()}
        experiments[f"Spheres{size}"] = {"base": {"data": data}, "estimators": estimators}
    (folder / "rivals.yaml").write_text(
        yaml.safe_dump({"title": "rivals", "measure": {"limit": LIMIT}, "experiments": experiments}), encoding="utf-8"
    )
    return load_study(str(folder / "rivals.yaml"))


def test_a_study_searches_the_nearest_examples_of_each_data_set_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[tuple[int, int, int]] = []
    search = NearestExample._search

    def counted(self: NearestExample, queries: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        searched.append((self.settings["examples"], *queries.shape[::-1]))
        return search(self, queries, target)

    monkeypatch.setattr(NearestExample, "_search", counted)
    done = run_study(study_of(tmp_path, 4, 5), tmp_path / "out", jobs=1)
    assert done.failures == []
    ratios = [r for r in done.results.load() if r.quantity.kind == "residual_length_ratio"]
    assert {r.model.recipe for r in ratios} == {"exact", "nearest", "nearest-even"}
    # The lengths of all three take one search, and the way back of the estimator by that name another.
    assert [searched.count((60, size, LIMIT)) for size in (4, 5)] == [2, 2], searched


def test_another_data_set_has_its_own() -> None:
    same, again, other = Spheres(**configured()), Spheres(**configured()), Spheres(**configured(), seed=1)
    first = nearest_of(same, configured())
    assert nearest_of(again, configured()) is first
    assert nearest_of(other, configured()) is not first
    assert nearest_of(same, configured()) is not first  # one is kept

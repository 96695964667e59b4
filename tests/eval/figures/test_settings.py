"""What was measured in several ways stands apart: no mean over two norms, and no axis for both."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from eval import measure
from eval.figures import FIGURES
from eval.figures.settings import rows_by_settings, told_apart
from eval.records import Quantity, Records, Results
from tests.eval.classifiers import InMemory
from tests.eval.made import PGD, PGD_L2, model, record


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))


def measured(folder: Path, figure: str, *options: dict) -> Records:
    """The same model in one folder, with one set of options after another."""
    torch.manual_seed(1)
    data = InMemory(2 * torch.rand(9, 4) - 1, torch.arange(9) % 2)
    for chosen in options:
        asked = {"figures": [figure], "figure_options": {figure: chosen}, "only": "figures"}
        measure(linear(), data, out=folder, say=lambda _: None, recipe="B", **asked)
    return Results(folder).load()


def test_repetitions_stand_together_and_other_settings_apart() -> None:
    made = [record(quantity, of=model(seed=seed)) for seed in (0, 1) for quantity in (PGD, PGD_L2)]
    found = rows_by_settings(made)
    assert {quantity for _, quantity in found} == {PGD, PGD_L2}
    assert [(row.recipe, row.models) for rows in found.values() for row in rows] == [("B", 2), ("B", 2)]
    assert told_apart([made[0]]) == {PGD: {}}
    of_data = [Quantity("boundary", settings={"largest": largest}) for largest in (1.0, 2.0)]
    assert told_apart([record(q, of=model(data)) for q, data in zip(of_data, "ab", strict=True)]) == {
        q: {} for q in of_data
    }


def test_distances_in_two_norms_have_two_pictures(tmp_path: Path) -> None:
    options = {"directions": 5, "images": 2, "largest": 3.0}
    records = measured(tmp_path, "boundary", options, options | {"norm": "Linf"})
    figure = FIGURES["boundary"]
    drawn = figure.draw(records, [*records])
    assert drawn.keys() == {"given", "given-2"}
    labels = {picture.axes[0].get_ylabel() for picture in drawn.values()}
    assert labels == {"‖δ‖₂ at which the class changes", "‖δ‖∞ at which the class changes"}
    assert {picture.get_supxlabel() for picture in drawn.values()} == {"norm L2", "norm Linf"}
    assert all(len(picture.axes[0].lines) == 1 for picture in drawn.values())
    frame = figure.table(records, [*records]).frame
    assert sorted(frame.settings) == ["norm L2", "norm Linf"]
    assert sorted((frame["median ‖δ‖₂"] == "–").tolist()) == [False, True]


def test_a_loss_with_an_attack_is_no_repetition_of_one_without(tmp_path: Path) -> None:
    options = {"points": 3, "at": 1.0, "steps": 1}
    records = measured(tmp_path, "landscape", options | {"epsilon": 0.1}, options)
    figure = FIGURES["landscape"]
    assert sorted(len(picture.axes) for picture in figure.draw(records, [*records]).values()) == [1, 2]
    frame = figure.table(records, [*records]).frame
    assert frame.models.tolist() == ["1", "1"]
    assert sorted((frame["adversarial loss at α = 0"] == "–").tolist()) == [False, True]


def test_steps_at_two_radii_are_not_pooled(tmp_path: Path) -> None:
    options = {"rates": [0.1], "steps": 1, "batches": 1}
    records = measured(tmp_path, "descent", options | {"epsilon": 0.1}, options | {"epsilon": 0.2})
    figure = FIGURES["descent"]
    assert sorted(figure.table(records, [*records]).frame.settings) == ["epsilon 0.1", "epsilon 0.2"]
    for picture in figure.draw(records, [*records]).values():
        assert [np.shape(axis.collections[0].get_offsets()) for axis in picture.axes] == [(1, 2)] * 2

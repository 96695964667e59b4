"""Residuals to every other class: their sizes on Spheres, where they are known, and what the pictures show."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from eval.figures.residual_grid import RESIDUAL_GRID_FIGURE, ResidualGrid, draw, measurements, table
from eval.records import EstimatorQuality, Model, Records, Results
from eval.records.residual_grid import grid_quantity, residual_grid
from generators import NearestExample
from tests.eval.made import said, shown
from training.data import Batch, Digits, Spheres, Squares


def estimated(folder: Path, data: object, estimator: object, name: str = "mine", limit: int = 100) -> Records:
    model = Model(data.name, name, groups=("estimators",))
    results = Results(folder)
    EstimatorQuality(estimator, data, model, limit=limit).measured(results.home(model, name))
    return results.load()


def grids(records: Records) -> list:
    return [record for record in records if record.quantity.kind in RESIDUAL_GRID_FIGURE.kinds]


class Turned:
    """The truth at a known angle, and half as long."""

    name, digest, settings = "turned", "", {}

    def __init__(self, data: Spheres, cosine: float) -> None:
        self.data, self.cosine = data, cosine

    def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        truth = self.data.exact_residual(x, y, target)
        across = torch.stack([-truth[:, 1], truth[:, 0]], dim=1)
        return 0.5 * (self.cosine * truth + (1 - self.cosine**2) ** 0.5 * across)


def test_the_table_is_table_1_of_the_paper(tmp_path: Path) -> None:
    data = Spheres(dimensions=2)
    records = estimated(tmp_path, data, Turned(data, 0.8))
    frame = table(records, grids(records)).frame
    assert [*frame["class"]] == ["inner", "inner", "outer", "outer"]
    assert [*frame["to class"]] == ["outer", "outer", "inner", "inner"]
    assert [*frame["‖x‖₂"]] == ["1", "1", "1.3", "1.3"]
    assert {*frame["‖Δ̂x‖₂"]} == {"0.15"}
    assert [*frame["‖x'‖₂"]] == ["1.3", "1.3", "1", "1"]
    assert {*frame["sim(Δx, Δ̂x)"]} == {"0.800"}
    # Along x it moves by ±.12, across by .09.
    expected = [f"{np.hypot(1.12, 0.09):.3g}"] * 2 + [f"{np.hypot(1.18, 0.09):.3g}"] * 2
    assert [*frame["‖x̂'‖₂"]] == expected
    assert draw(records, grids(records)) == {}  # vectors have no picture


def test_rows_are_pairs_of_samples_and_other_classes() -> None:
    data = Digits()
    whole = data.split("test").__getitems__(range(200))
    outcome = residual_grid(data.residual("nearest"), data, whole, 2)
    frame = outcome.per_sample
    assert (len(frame), outcome.samples) == (10 * 2 * 9, 20)
    assert (frame.label != frame.target).all()
    assert frame.groupby("index").target.nunique().eq(9).all()
    firsts = [(whole.y == c).nonzero().flatten()[:2] for c in range(10)]
    assert [*frame["index"].unique()] == torch.cat(firsts).tolist()
    found = data.residual("nearest")(whole.x[firsts[3]], whole.y[firsts[3]], torch.tensor([7, 7]))
    rows = (frame.label == 3) & (frame.target == 7)
    torch.testing.assert_close(torch.from_numpy(outcome.arrays["residual"][rows]), found)
    assert outcome.value == pytest.approx(frame.norm_residual.sort_values().iloc[89])
    assert "cosine" not in frame


def test_of_many_classes_ten_are_shown() -> None:
    images, labels = torch.randn(40, 3), torch.arange(40) % 20

    class Twenty(Spheres):
        classes = tuple(map(str, range(20)))
        exact_residual = None

    data = Twenty(dimensions=3)
    whole = Batch(images, labels, torch.arange(40))
    frame = residual_grid(NearestExample(images, labels), data, whole, 1).per_sample
    shown = [0, 2, 4, 6, 8, 10, 12, 14, 16, 19]
    assert [*frame.label.unique()] == sorted(frame.target.unique()) == shown


def test_a_store_is_asked_for_what_it_holds_alone() -> None:
    class Storing(Turned):
        classes = [1]  # noqa: RUF012

    data = Spheres(dimensions=2)
    whole = data.split("test").__getitems__(range(50))
    frame = residual_grid(Storing(data, 1.0), data, whole, 5).per_sample
    assert {*frame.label} == {0}


def test_a_grid_has_a_row_for_each_sample_and_a_column_for_each_class(tmp_path: Path) -> None:
    data = Digits()
    records = estimated(tmp_path, data, data.residual("nearest"), "nearest example", limit=150)
    (figure,) = draw(records, grids(records)).values()
    samples = [str(c) for c in range(10) for _ in range(2)]
    assert said(figure) == [*samples, "x", *(f"→ {c}" for c in range(10))]
    arrays = records.arrays(grids(records)[0])
    images = shown(figure)
    for row, label in enumerate(arrays["y"]):
        assert [(row, c) in images for c in range(11)] == [True, *(c != label for c in range(10))]
    drawn = np.asarray(images[0, 4].get_array())
    (pair,) = np.flatnonzero((arrays["sample"] == 0) & (arrays["target"] == 3))
    expected = (arrays["x"][0, 0] + arrays["residual"][pair, 0] + 1) / 2
    np.testing.assert_allclose(drawn, expected.clip(0, 1), atol=1e-6)
    assert len(table(records, grids(records)).frame) == 10


def test_two_classes_have_a_column_for_each_sample(tmp_path: Path) -> None:
    data = Squares(size=16, train_size=20)
    records = estimated(tmp_path, data, data.exact_residual, "exact")
    (name,) = pictures = draw(records, grids(records))
    assert name == "Squares16-exact"
    assert said(pictures[name]) == ["x", "Δ̂x", "x̂'", "Δx"] + ["small"] * 5 + ["large"] * 5
    images = shown(pictures[name])
    drawn = [np.asarray(images[row, 7].get_array()) for row in (1, 3)]
    np.testing.assert_array_equal(*drawn)  # the estimator is the truth
    small, large = (prototype[0].numpy() for prototype in data.prototypes)
    np.testing.assert_allclose(drawn[0], (small - large + 2) / 4, atol=1e-6)


def test_classifiers_with_one_estimator_have_one_grid(tmp_path: Path) -> None:
    from eval import measure
    from training import build_network

    data, asked = Digits(), {"attacks": [], "masking": False, "residual": "nearest", "figures": ["residual_grid"]}
    for seed in (0, 1):
        torch.manual_seed(seed)
        network = build_network("small_cnn", shape=(1, 8, 8), num_classes=10)
        measure(network, data, limit=100, out=tmp_path, say=lambda _: None, **asked)
    records = Results(tmp_path).load()
    assert len(grids(records)) == 2
    assert [*draw(records, grids(records))] == ["digits-nearest"]


def test_the_number_of_samples_is_the_papers_or_what_is_asked() -> None:
    assert measurements("nearest", 3) == [ResidualGrid("nearest", 3)]
    data, digits = Spheres(dimensions=2), Digits()
    exact = data.exact_residual
    assert grid_quantity(exact, data).settings["per_class"] == 5
    assert grid_quantity(digits.residual("nearest"), digits).settings["per_class"] == 2
    with pytest.raises(ValueError, match=r"`per_class` should be at least 1\. Found 0"):
        grid_quantity(exact, data, 0)

"""x, Δx and ∇ℓ side by side."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.image import AxesImage
from torch import nn

from eval import measure
from eval.figures.gradient_pictures import Shown, picture
from eval.figures.gradients import Gradients, draw, first_of_each_class
from eval.figures.wanted import all_measurements
from eval.records import Records, Results
from eval.report import write_report
from tests.eval.classifiers import InMemory, Radial
from tests.eval.made import said, shown
from tests.eval.measuring.models import TestDigits
from training.data import DataSet, Digits, Spheres, Squares
from training.passes import CountPasses


class Pull(nn.Module):
    """Two classes of images: logit_1 − logit_0 is their product with one image, so that ∇ℓ is ± that image."""

    def __init__(self, image: torch.Tensor) -> None:
        super().__init__()
        self.image = nn.Parameter(image.clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = (x * self.image).flatten(1).sum(dim=1)
        return torch.stack([-score / 2, score / 2], dim=1)


def recorded(folder: Path, data: DataSet, models: dict[str, nn.Module], **options: object) -> Records:
    asked = {"figures": ["gradients"], "only": "figures", "figure_options": {"gradients": options}}
    measure(models, data, limit=40, out=folder, say=lambda _: None, **asked)
    return Results(folder).load()


def drawn(image: AxesImage) -> np.ndarray:
    return np.asarray(image.get_array())


@pytest.fixture
def squares() -> Squares:
    return Squares(size=8, train_size=8)


def test_the_first_of_every_class_come_before_the_second_of_any() -> None:
    labels = torch.tensor([2, 0, 0, 1, 0, 2])
    assert first_of_each_class(labels, 2, 10).tolist() == [1, 2, 3, 0, 5]
    assert first_of_each_class(labels, 3, 4).tolist() == [1, 2, 3, 0]
    assert first_of_each_class(labels, 1, 2).tolist() == [1, 3]


def test_a_radial_gradient_is_aligned_and_a_turned_one_is_opposed() -> None:
    data = Spheres(dimensions=6)
    batches = [*data.batches("test")][:1]
    found = Gradients(per_class=2)(CountPasses(Radial()), data, batches)
    assert found.value == pytest.approx(1, abs=1e-6)
    assert found.per_sample.label.tolist() == [0, 0, 1, 1]
    assert found.per_sample.target.tolist() == [1, 1, 0, 0]
    np.testing.assert_allclose(found.arrays["residual"][0], 0.3 * found.arrays["x"][0], rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found.arrays["gradient"], axis=1), 2, rtol=1e-5)  # of ±(‖x‖ − 1.15)

    class Turned(Radial):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).flip(1)

    assert Gradients()(CountPasses(Turned()), data, batches).value == pytest.approx(-1, abs=1e-6)


def test_one_picture_shows_every_model_on_the_same_samples(tmp_path: Path, squares: Squares) -> None:
    toward = squares.prototypes[1] - squares.prototypes[0]
    records = recorded(tmp_path, squares, {"B": Pull(torch.rand(1, 8, 8)), "P": Pull(toward)}, per_class=2)
    b, p = sorted(records, key=lambda record: record.model.recipe)
    assert records.per_sample(b)["index"].tolist() == records.per_sample(p)["index"].tolist()
    assert p.value == pytest.approx(1, abs=1e-6)
    assert b.value < 0.9

    (figure,) = draw(records, [*records]).values()
    assert said(figure)[:5] == ["x", "Δx", "x̂'", "∇ℓ, B", "∇ℓ, P"]
    assert [line.replace("\n", " ") for line in said(figure)[5:9]] == ["small → large"] * 2 + ["large → small"] * 2
    images = shown(figure)
    assert len(images) == 4 * 5
    np.testing.assert_allclose(drawn(images[1, 0]), toward[0], atol=1e-6)
    x, low, high = records.arrays(p)["x"][0, 0], *squares.bounds
    moved = np.clip((x + toward[0].numpy() - low) / (high - low), 0, 1)
    np.testing.assert_allclose(drawn(images[2, 0]), moved, atol=1e-6)
    np.testing.assert_allclose(drawn(images[4, 3]), -toward[0], atol=1e-6)  # toward the small one
    assert said(figure)[-4:] == ["1.00"] * 4
    low, high = images[3, 0].get_clim()
    assert -low == high == pytest.approx(np.percentile(np.abs(drawn(images[3, 0])), 99.5))


def test_where_closest_classes_differ_each_gradient_has_its_own_direction(tmp_path: Path) -> None:
    torch.manual_seed(0)
    models = {name: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)) for name in "BP"}
    records = recorded(tmp_path, Digits(), models)
    targets = [records.per_sample(record).target.tolist() for record in records]
    assert targets[0] != targets[1]
    (figure,) = draw(records, [*records]).values()
    assert said(figure)[:7] == ["x", "Δx, B", "x̂', B", "∇ℓ, B", "Δx, P", "x̂', P", "∇ℓ, P"]
    assert len(shown(figure)) == 7 * len(targets[0])
    leads = [text for text in said(figure) if text.startswith("→")]
    assert leads == [f"→ {target}" for of_model in targets for target in of_model]


def of_targets(*targets: int) -> Shown:
    arrays = {name: np.zeros((len(targets), 1, 2, 2)) for name in ("x", "residual", "gradient")}
    arrays |= {"classes": np.array(["0", "1", "2"]), "bounds": np.array([0.0, 1.0])}
    outcomes = {"label": [0] * len(targets), "target": [*targets], "cosine": 0.5, "valid": True}
    return Shown(str(targets), arrays, pd.DataFrame(outcomes))


def test_samples_with_one_closest_class_are_shown_alone_where_they_are_enough() -> None:
    figure = picture("d", [of_targets(1, 1, 2, 1, 1), of_targets(1, 1, 1, 1, 1)])
    assert figure.get_suptitle().replace("\n", " ").startswith("d, where all models have one closest class: x, Δx")
    assert len(shown(figure)) == 5 * 4
    figure = picture("d", [of_targets(1, 1, 2, 1), of_targets(1, 1, 1, 1)])
    assert figure.get_suptitle().replace("\n", " ").startswith("d: x, Δx")
    assert len(shown(figure)) == 7 * 4


def test_vectors_are_compared_component_by_component(tmp_path: Path) -> None:
    records = recorded(tmp_path, Spheres(dimensions=6), {"B": Radial()})
    (figure,) = draw(records, [*records]).values()
    for axis in figure.axes:
        _, dots = axis.lines
        np.testing.assert_allclose(*dots.get_data(), atol=1e-6)  # the perfect model lies on the diagonal


def test_a_long_name_stays_beside_its_own_row(tmp_path: Path, squares: Squares) -> None:
    name = "a long name that somebody has chosen"
    records = recorded(tmp_path, squares, {name: Pull(torch.rand(1, 8, 8))}, per_class=1)
    (figure,) = draw(records, [*records]).values()
    lines = said(figure)[3].split("\n")
    assert " ".join(lines) == f"∇ℓ, {name}"
    assert max(map(len, lines)) <= 16


@pytest.mark.parametrize("data", [Squares(size=8, train_size=8), Spheres(dimensions=6)])
def test_a_gradient_of_zero_has_no_cosine(tmp_path: Path, data: DataSet) -> None:
    blind = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(data.shape), 2))
    nn.init.zeros_(blind[1].weight)
    records = recorded(tmp_path, data, {"B": blind})
    (figure,) = draw(records, [*records]).values()
    below = {axis.get_xlabel() for axis in figure.axes} if len(data.shape) == 1 else {*said(figure)[-6:]}
    assert below == {"none"}


def test_without_a_closest_example_the_gradient_stands_alone(tmp_path: Path) -> None:
    records = recorded(tmp_path, TestDigits(), {"B": nn.Sequential(nn.Flatten(), nn.Linear(64, 10))})
    (record,) = records
    assert math.isnan(record.value)
    (figure,) = draw(records, [*records]).values()
    assert said(figure)[:2] == ["x", "∇ℓ, B"]
    assert len(shown(figure)) == 2 * 10
    with pytest.raises(ValueError, match="`split` should be test"):
        Gradients("nearest").quantity(TestDigits())


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"figures": []}, {"only": "accuracy", "epsilons": [0.1], "attacks": []}])
def test_every_page_has_it_unless_it_is_left_out(tmp_path: Path, squares: Squares, options: dict) -> None:
    asked = {"attacks": [], "masking": False} | options
    measure(Pull(torch.rand(1, 8, 8)), squares, limit=10, out=tmp_path, say=lambda _: None, **asked)
    write_report(tmp_path)
    assert len([*(tmp_path / "plots").glob("gradients-*.svg")]) == (not options)


def test_large_images_are_few() -> None:
    assert any(isinstance(one, Gradients) for one in all_measurements())
    data = InMemory(torch.zeros(20, 1, 400, 400), torch.arange(20) % 2)
    classifier = CountPasses(Pull(torch.rand(1, 400, 400)))
    found = Gradients(per_class=10, most=20)(classifier, data, [*data.batches("test")])
    assert len(found.per_sample) == 2**20 // 400**2

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from eval.figures.residual_grid import RESIDUAL_GRID_FIGURE
from eval.records import EstimatorQuality, Model, Results
from eval.records.quality import targets
from eval.report import all_tables, write_report
from eval.report.tables import quality_table
from generators import NearestExample
from training.data import DataSet, Digits, Spheres, Squares

MODEL = Model("any", "mine", groups=("estimators",))


def residual_quality(estimator: object, data: DataSet, **chosen: object) -> tuple[dict[str, tuple], dict]:
    quality = EstimatorQuality(estimator, data, MODEL, **chosen)
    outcomes, examples = quality.take(*quality.sitting())
    return {record.quantity.kind: (record, frame) for record, frame in outcomes}, examples


class Mixed:
    """The truth, turned by a known angle for class 0, and nothing at all for the first sample."""

    name, digest = "mixed", ""

    def __init__(self, data: DataSet, cosine: float) -> None:
        self.data, self.cosine = data, cosine
        self.settings = {"cosine": cosine}

    def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        truth = self.data.exact_residual(x, y, target)
        across = torch.randn_like(truth)
        across -= (across * truth).sum(1, keepdim=True) / truth.square().sum(1, keepdim=True) * truth
        across *= truth.norm(dim=1, keepdim=True) / across.norm(dim=1, keepdim=True)
        turned = self.cosine * truth + (1 - self.cosine**2) ** 0.5 * across
        answer = torch.where((y == 0).unsqueeze(1), turned, truth)
        answer[0] = 0
        return answer


def test_similarity_is_the_mean_over_samples_with_a_direction() -> None:
    data = Spheres(dimensions=6)
    outcomes, _ = residual_quality(Mixed(data, 0.5), data, limit=200)
    record, frame = outcomes["residual_similarity"]
    zeros = int((frame.label[1:] == 0).sum())
    assert record.invalid == 1
    assert record.value == pytest.approx((0.5 * zeros + 1.0 * (199 - zeros)) / 199, abs=1e-5)
    assert record.subject.network == {"estimator": "mixed", "settings": {"cosine": 0.5}}


def test_norm_is_the_median_and_comes_last() -> None:
    data = Spheres(dimensions=6)
    outcomes, _ = residual_quality(data.exact_residual, data, limit=50)
    record, frame = outcomes["residual_norm"]
    assert [*outcomes][-1] == "residual_norm"
    assert record.value == pytest.approx(0.3, abs=1e-6)
    assert np.allclose(frame.norm, 0.3, atol=1e-6)
    assert (frame.target == 1 - frame.label).all()


def test_share_is_what_the_judge_says_of_the_moved_images() -> None:
    data = Spheres(dimensions=6)

    class Radius(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([torch.zeros(len(x)), x.norm(dim=1) - 1.15], dim=1)

    exact, _ = residual_quality(data.exact_residual, data, judge=Radius(), limit=100)
    half, _ = residual_quality(Halved(data), data, judge=Radius(), limit=100)
    shares = [found["residual_target_share"][0].value for found in (exact, half)]
    labels = data.split("test").__getitems__(range(100)).y
    assert shares[0] == 1
    assert shares[1] == pytest.approx(float((labels == 0).double().mean()))
    assert exact["residual_target_share"][0].forward_passes == 100


class Halved:
    """Far enough from the inner sphere and not far enough from the outer one."""

    name, digest = "halved", ""

    def __init__(self, data: DataSet) -> None:
        self.data, self.settings = data, {}

    def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        return self.data.exact_residual(x, y, target) * torch.where(y == 0, 0.6, 0.4).unsqueeze(1)


def test_targets_are_other_classes_all_of_them_and_repeat() -> None:
    y = torch.arange(10).repeat(100)
    found = targets(y, 10)
    assert (found != y).all()
    assert found.unique().tolist() == list(range(10))
    assert torch.equal(found, targets(y, 10))
    assert not torch.equal(found, targets(y, 10, seed=1))


def test_examples_hold_the_first_sample_of_each_class() -> None:
    data = Digits()
    _, examples = residual_quality(data.residual("nearest"), data, limit=100)
    assert examples["y"].tolist() == list(range(10))
    first = int((data.split("test").labels == 3).nonzero()[0])
    assert np.array_equal(examples["x"][3], data.split("test")[first].x[0].numpy())
    assert "exact" not in examples


def test_answers_that_are_no_numbers_are_refused() -> None:
    data = Spheres(dimensions=6)

    class Broken(Halved):
        def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
            return x * torch.nan

    with pytest.raises(ValueError, match=r"`residual` should be finite. Found 60 NaN"):
        residual_quality(Broken(data), data, limit=10)


@pytest.mark.slow
def test_table_and_picture_stand_on_the_page(tmp_path: Path) -> None:
    data = Squares(size=16, train_size=20)
    results = Results(tmp_path)
    for name, estimator in (("indirect, paper", data.exact_residual), ("nearest example", data.residual("nearest"))):
        named = Model("Squares32", name, groups=("estimators",))
        EstimatorQuality(estimator, data, named, limit=30).measured(results.home(named, name))
    records = results.load()
    table = quality_table(records).frame
    assert list(table.estimator) == ["indirect, paper", "nearest example"]
    assert table["sim(Δx, Δ̂x)"][0] == "1.000 [1.000, 1.000]"
    assert list(all_tables(records)) == ["Quality of residual estimators", RESIDUAL_GRID_FIGURE.title]
    assert "residual_grid" not in " ".join(table.columns)
    write_report(tmp_path)
    assert (tmp_path / "plots" / "residuals-Squares16.svg").stat().st_size > 5000
    assert "residuals-Squares16.svg" in (tmp_path / "page.html").read_text()
    assert (tmp_path / "estimators.csv").exists()


def test_nearest_example_is_known_by_its_examples() -> None:
    images, labels = torch.randn(6, 3), torch.tensor([0, 1, 0, 1, 0, 1])
    digest = NearestExample(images, labels).digest
    assert digest == NearestExample(images.clone(), labels).digest
    moved = images.clone()
    moved[4, 2] += 1e-3
    assert digest != NearestExample(moved, labels).digest
    assert digest != NearestExample(images, labels.flip(0)).digest

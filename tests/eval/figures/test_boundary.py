"""Distances along random directions: closed form on a linear classifier, what is given up, table and picture."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from eval import measure
from eval.figures.boundary import (
    BOUNDARY,
    Boundary,
    boundary_distances,
    draw,
    measurements,
    random_directions,
    table,
)
from eval.records import Results
from tests.eval.classifiers import Half, InMemory


def test_distances_of_a_linear_classifier_are_known() -> None:
    slope, x = torch.randn(6), torch.randn(6)
    directions = random_directions(40, (6,), "L2", 0)
    found = boundary_distances(Half(slope), x, directions, largest=100.0, resolution=1e-4)
    exact = -(slope @ x) / (directions @ slope)
    exact[(exact < 0) | (exact > 100)] = torch.inf
    assert 0 < exact.isinf().sum() < 40
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("norm", "order"), [("L2", 2), ("Linf", math.inf)])
def test_directions_have_length_one_and_depend_on_the_seed_alone(norm: str, order: float) -> None:
    drawn = random_directions(5, (2, 3), norm, 0, "boundary", 1)
    torch.testing.assert_close(drawn.flatten(1).norm(p=order, dim=1), torch.ones(5))
    assert torch.equal(drawn, random_directions(5, (2, 3), norm, 0, "boundary", 1))
    assert not torch.equal(drawn, random_directions(5, (2, 3), norm, 0, "boundary", 2))


def test_a_class_that_never_changes_is_given_up() -> None:
    class One(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tensor([1.0, 0.0]).expand(len(x), 2)

    found = boundary_distances(One(), torch.zeros(3), random_directions(4, (3,), "L2", 0), largest=9.0)
    assert found.isinf().all()


def test_growing_steps_are_not_longer_than_the_largest_and_the_mode_stays() -> None:
    seen: list[float] = []

    class Watched(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(float(x.norm(dim=1).max()))
            assert not self.training
            return torch.stack([torch.ones(len(x)), 0 * x[:, 0]], dim=1)

    classifier = Watched().train()
    boundary_distances(classifier, torch.zeros(3), random_directions(4, (3,), "L2", 0), largest=9.0)
    assert max(seen) == pytest.approx(9)
    assert classifier.training


def test_the_table_and_the_picture_are_of_the_saved_distances(tmp_path: Path) -> None:
    slope = torch.randn(4)
    x = 0.2 * torch.rand(3, 4) - 0.1
    data = InMemory(x, torch.tensor([0, 1, 1]))
    options = {"directions": 7, "images": 2, "largest": 5.0}
    measure(
        Half(slope), data, only="figures", figures=["boundary"], figure_options={"boundary": options}, out=tmp_path
    )
    records = Results(tmp_path).load()
    (record,) = records
    distance = records.arrays(record)["distance"]
    assert distance.shape == (2, 7)
    assert record.samples == 14
    assert record.value == np.median(distance)
    assert record.details["censored"] == np.isinf(distance).sum()
    wrong = int((((x[:2] @ slope) > 0).long() != torch.tensor([0, 1])).sum())
    assert record.details["wrong"] == wrong
    line = table(records, [record]).frame.iloc[0]
    assert line["images"] == "2"
    (figure,) = draw(records, [record]).values()
    drawn = figure.axes[0].lines[0].get_ydata()
    finite = np.sort(distance[np.isfinite(distance)])
    np.testing.assert_array_equal(drawn[np.isfinite(drawn)], finite)


def test_without_bounds_the_largest_length_must_be_given() -> None:
    data = InMemory(torch.zeros(2, 3), torch.tensor([0, 1]))
    data.bounds = (-math.inf, math.inf)
    with pytest.raises(ValueError, match="`largest` should be given for given"):
        Boundary().quantity(data)
    assert Boundary(largest=3.0).limit(data) == 3


def test_the_paper_has_a_thousand_directions() -> None:
    assert measurements() == [Boundary()]
    assert BOUNDARY.kinds == ("boundary",)
    assert Boundary().directions == 1000


@pytest.mark.parametrize("asked", [{"growth": 1.0}, {"resolution": 0.0}, {"directions": 0}, {"norm": "L1"}])
@pytest.mark.usefixtures("as_in_production")
def test_numbers_out_of_range_are_refused(asked: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(asked))):
        Boundary(**asked)

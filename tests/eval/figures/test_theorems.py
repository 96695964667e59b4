"""Theorems 1 and 2 of paper 1 on models for which they are exact."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from eval import measure
from eval.figures.pairs import Pairs, matched, pairs_of
from eval.figures.theorems import THEOREMS, Theorems, fitting, interval_of, summed_up
from eval.records import Results
from tests.eval.classifiers import InMemory, Radial, half_problem
from tests.eval.made import written
from training.data import Spheres
from training.passes import CountPasses


def test_classes_are_matched_and_what_has_no_partner_is_left_out() -> None:
    x = torch.arange(6.0).unsqueeze(1)
    pairs = matched(x, torch.tensor([2, 0, 1, 1, 0, 0]))  # class 2 has no fourth class beside it
    assert pairs.x.flatten().tolist() == [1, 4]
    assert pairs.other.flatten().tolist() == [2, 3]
    assert (pairs.y.tolist(), pairs.other_y.tolist()) == ([0, 0], [1, 1])
    assert len(matched(x, torch.zeros(6, dtype=torch.int64))) == 0


def test_theorem_1_is_exact_for_a_linear_model_also_where_it_is_wrong() -> None:
    torch.manual_seed(0)
    classifier, x, y = half_problem(60)
    data = InMemory(x, y)
    found = Theorems()(CountPasses(classifier), data, [*data.batches("test")])
    frame = found.per_sample
    slope = classifier.slope.detach().double()
    pairs = matched(x, y)
    signed = -(pairs.x.double() @ slope) / slope.norm()  # of class 0, which is right below 0
    np.testing.assert_allclose(frame.rho, signed, rtol=1e-4, atol=1e-7)
    assert (frame.rho < 0).any()
    np.testing.assert_allclose(frame.rho + frame.rho_other, frame.distance * frame.alpha, rtol=1e-4, atol=1e-7)
    assert found.value < 1e-5
    assert found.samples == len(pairs) == len(frame)


def test_the_perfect_model_of_spheres_has_half_the_distance() -> None:
    data = Spheres(dimensions=6)
    found = Theorems(limit=20)(CountPasses(Radial()), data, [*data.batches("test")][:1])
    assert found.details["alpha"] == pytest.approx(1, abs=1e-6)
    assert found.details["rho"] == pytest.approx(0.15, abs=1e-6)
    assert found.details["nearest"] == pytest.approx(0.3, abs=1e-6)
    assert found.details["furthest"] == pytest.approx(0.3, abs=1e-6)
    assert found.value < 1e-5


@pytest.mark.slow
def test_an_attack_finds_what_the_lemma_says_of_a_linear_model() -> None:
    torch.manual_seed(0)
    classifier, x, y = half_problem(12)
    data = InMemory(x, y)
    frames = [
        Theorems(by, limit=12)(CountPasses(classifier), data, [*data.batches("test")]).per_sample
        for by in ("lemma", "fmn")
    ]
    np.testing.assert_allclose(frames[0].rho, frames[1].rho, rtol=0.05)
    assert (frames[0].rho != frames[1].rho).any()


def test_pairs_that_break_the_assumption_are_left_out() -> None:
    """Of three classes, in one dimension: class 2 lies between 0 and 1, so these two are no neighbours."""
    classifier = nn.Linear(1, 3)
    with torch.no_grad():
        classifier.weight.copy_(torch.tensor([[-1.0], [1.0], [0.0]]))
        classifier.bias.copy_(torch.tensor([0.0, 0.0, 1.0]))
    ends = {0: -2.0, 1: 2.0, 2: 0.5}
    pairs = [(0, 1), (1, 2), (2, 1)]
    x, other = (torch.tensor([[ends[pair[end]]] for pair in pairs]) for end in (0, 1))
    y, other_y = torch.tensor(pairs).T
    assert fitting(classifier, Pairs(x, y, other, other_y)).tolist() == [False, True, True]


def test_bounds_and_dots_are_drawn(tmp_path: Path) -> None:
    data = Spheres(dimensions=6)
    measure({"P": Radial()}, data, limit=20, out=tmp_path, say=lambda _: None, figures=["theorems"], only="figures")
    records = Results(tmp_path).load()
    (figure,) = THEOREMS.draw(records, [*records]).values()
    first, second = figure.axes
    _, dots = first.lines
    np.testing.assert_allclose(*dots.get_data(), atol=1e-5)
    np.testing.assert_allclose(dots.get_xdata(), 0.3, atol=1e-5)
    lower, upper, dot = second.lines
    np.testing.assert_allclose(lower.get_ydata(), [0, 0.15], atol=1e-6)
    np.testing.assert_allclose(upper.get_ydata(), [0, 0.15], atol=1e-6)
    np.testing.assert_allclose(np.ravel(dot.get_data()), [1, 0.15], atol=1e-5)
    frame = THEOREMS.table(records, [*records]).frame
    assert frame["ρ_m"].tolist() == ["0.15"]
    assert frame.pairs.tolist() == [20]


def test_no_pair_says_nothing() -> None:
    classifier, x, _ = half_problem(4)
    data = InMemory(x, torch.zeros(4, dtype=torch.int64))
    found = Theorems()(CountPasses(classifier), data, [*data.batches("test")])
    assert math.isnan(found.value)
    assert found.samples == 0
    assert summed_up(found.per_sample)["negative"] == 0


def test_a_model_without_pairs_has_a_line_and_no_panel(tmp_path: Path) -> None:
    """Its page is written, with what was measured beside it."""
    data = Spheres(dimensions=6)
    asked = {"data": data, "limit": 20, "figures": ["theorems"], "only": "figures", "say": lambda _: None}
    measure({"P": Radial()}, out=tmp_path, **asked)
    records = Results(tmp_path).load()
    (kept,) = records
    empty = replace(kept, model=replace(kept.model, recipe="none"), value=math.nan, samples=0)
    table = THEOREMS.table(records, [kept, empty])
    assert table.frame["ρ_m"].tolist() == ["0.15", "–"]
    assert "no pair is left" in table.notes[1]
    (figure,) = THEOREMS.draw(records, [kept, empty]).values()
    assert [axis.get_title() for axis in figure.axes] == ["P, ρ by Lemma 1", "Theorem 2"]
    assert not THEOREMS.draw(records, [empty])
    opposed = replace(kept, details={**kept.details, "alpha": -0.5})
    again = written(tmp_path / "opposed", [opposed], records.per_sample(kept))
    (figure,) = THEOREMS.draw(again, [*again]).values()
    assert figure.axes[1].get_xlim()[0] < -0.5  # its dot is in the frame


def test_a_sample_of_spheres_is_paired_with_its_closest_point() -> None:
    data = Spheres(dimensions=6)
    pairs = pairs_of(Radial(), data, [*data.batches("test")][:1])
    np.testing.assert_allclose(pairs.other.norm(dim=1), np.where(pairs.y == 0, 1.3, 1.0), rtol=1e-5)
    np.testing.assert_allclose((pairs.other - pairs.x).norm(dim=1), 0.3, rtol=1e-5)


def test_interval_of_the_error_holds_it_and_shrinks_to_nothing_where_the_theorem_is_exact() -> None:
    exact = pd.DataFrame({"distance": [2.0] * 40, "alpha": [0.5] * 40, "rho": [0.7] * 40, "rho_other": [0.3] * 40})
    assert interval_of(exact) == pytest.approx((0, 0), abs=1e-12)
    rng = np.random.default_rng(0)
    noisy = exact.assign(rho=0.7 + 0.1 * rng.standard_normal(40))
    low, high = interval_of(noisy)
    assert low < summed_up(noisy)["off"] < high
    assert 0.05 < low < high < 0.15
    assert all(np.isnan(interval_of(exact[:0])))

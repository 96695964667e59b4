"""Score alignment and the tangent share of classifiers and data for which both are known."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from alignment import alpha_dx
from eval.figures.wanted import all_measurements
from eval.records import Model, Results, Sitting
from eval.records.manifold import ScoreAlignment, TangentShare, manifold_measurements
from eval.report import side_by_side
from generators import ResidualEstimator, ScoreDifference, score
from tests.eval.classifiers import Half, InMemory
from tests.generators.test_denoiser import MEANS, SIGMA, SPREAD, Best, density, gaussians


class Known(InMemory):
    """Gaussians in memory, whose denoiser is the one that is known to be best."""

    def residual(self, name: Any, **options: Any) -> ResidualEstimator:
        return ScoreDifference(Best()) if name == "best.ckpt" else super().residual(name, **options)


class Bayes(nn.Module):
    """log p(x | c) of the blurred Gaussians, with c x² added to all logits, which changes no prediction."""

    def __init__(self, added: float = 0.0) -> None:
        super().__init__()
        self.added = added

    def forward(self, x: Tensor) -> Tensor:
        return density(x)[:2].T + self.added * x.square().sum(dim=1, keepdim=True)


def known(count: int = 40) -> Known:
    x, y, _ = gaussians(count)
    return Known(x, y)


def taken(measurement: Any, classifier: nn.Module, data: InMemory) -> Any:
    return Sitting.of(classifier, data, Model("given", "B")).take(measurement)


@pytest.mark.parametrize("added", [0.0, 1.0])
def test_a_bayes_classifier_has_score_alignment_one(added: float) -> None:
    record, per_sample = taken(ScoreAlignment("best.ckpt"), Bayes(added), known())
    assert record.value == pytest.approx(1, abs=1e-6)
    assert record.interval[0] == pytest.approx(1, abs=1e-6)
    assert (per_sample.cosine > 0.999).all()
    assert record.quantity.settings["estimator"]["settings"] == {"sigma": SIGMA}


def test_single_logits_depend_on_what_softmax_leaves_open() -> None:
    form = ScoreAlignment("best.ckpt", of="class")
    assert taken(form, Bayes(), known())[0].value == pytest.approx(1, abs=1e-6)
    assert taken(form, Bayes(1.0), known())[0].value < 0.5


def test_the_other_forms_are_the_cosines_they_say() -> None:
    data, classifier = known(), nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    x = data.x.clone().requires_grad_()
    logits = classifier(x)
    (of_sum,) = torch.autograd.grad(logits.sum(), x, retain_graph=True)
    (of_class,) = torch.autograd.grad(logits[torch.arange(40), data.y].sum(), x)
    for form, gradient, told in (("sum", of_sum, None), ("class", of_class, data.y)):
        expected = torch.cosine_similarity(gradient, score(Best(), data.x, told))
        _, per_sample = taken(ScoreAlignment("best.ckpt", of=form), classifier, data)
        torch.testing.assert_close(torch.tensor(per_sample.cosine), expected)
    expected = alpha_dx(classifier, data.x, data.y, ScoreDifference(Best()))
    torch.testing.assert_close(torch.tensor(taken(ScoreAlignment("best.ckpt"), classifier, data)[1].cosine), expected)


def test_a_linear_classifier_has_the_cosine_of_its_slope() -> None:
    slope = torch.tensor([1.0, 2.0, -1.0])
    along = (MEANS[1] - MEANS[0]) / (SPREAD**2 + SIGMA**2)
    expected = float(slope @ along / slope.norm() / along.norm())
    assert taken(ScoreAlignment("best.ckpt"), Half(slope), known())[0].value == pytest.approx(expected, abs=1e-6)


@pytest.mark.usefixtures("as_in_production")
def test_an_estimator_that_is_no_denoiser_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`score` should be the checkpoint of a generators.Denoiser. Found nearest"):
        ScoreAlignment("nearest").quantity(known())
    with pytest.raises(ValueError, match=r"`of` should be one of difference, class, sum. Found 'all'"):
        ScoreAlignment("best.ckpt", of="all").quantity(known())


def in_a_plane(count: int = 60) -> tuple[InMemory, Tensor]:
    basis = torch.linalg.qr(torch.randn(9, 3)).Q.T
    return InMemory(0.2 * torch.randn(count, 3) @ basis, torch.arange(count) % 2), basis


def test_the_tangent_share_of_a_linear_classifier_is_that_of_its_slope() -> None:
    data, basis = in_a_plane()
    slope = torch.randn(9)
    record, per_sample = taken(TangentShare(neighbours=10, dimensions=3), Half(slope), data)
    expected = float((basis @ slope).square().sum() / slope.square().sum())
    assert record.value == pytest.approx(expected, abs=1e-5)
    assert per_sample.share.to_numpy() == pytest.approx(expected, abs=1e-5)
    assert record.details["chance"] == pytest.approx(3 / 9)
    assert 0 < record.value < 1


def test_samples_without_a_gradient_have_no_share() -> None:
    data, _ = in_a_plane()
    record, _ = taken(TangentShare(neighbours=10, dimensions=3), Half(torch.zeros(9)), data)
    assert record.invalid == 60
    assert record.value != record.value


def test_other_neighbours_and_other_examples_are_other_quantities() -> None:
    data, _ = in_a_plane()
    other, _ = in_a_plane()
    made = [
        TangentShare(10, 3).quantity(data),
        TangentShare(11, 3).quantity(data),
        TangentShare(10, 3).quantity(other),
    ]
    assert len({quantity.key for quantity in made}) == 3


def test_they_are_measured_where_they_are_asked_for() -> None:
    assert manifold_measurements() == []
    found = all_measurements(
        figures=(), attacks=[], score={"score": "best.ckpt", "of": "sum"}, tangent={"neighbours": 9}
    )
    assert ScoreAlignment("best.ckpt", "sum") in found
    assert TangentShare(9) in found
    assert manifold_measurements("a.ckpt", True, 3) == [
        ScoreAlignment("a.ckpt", candidates=3),
        TangentShare(candidates=3),
    ]
    with pytest.raises(ValueError, match=r"`tangent` should hold neighbours, dimensions, candidates. Found k."):
        manifold_measurements(tangent={"k": 3})
    with pytest.raises(ValueError, match=r"`score` and `tangent` should be left out with only='figures'"):
        all_measurements(only="figures", tangent=True)


def test_the_table_says_what_score_and_tangent_space_are_by(tmp_path: Path) -> None:
    results, data = Results(tmp_path), known()
    for measurement in (ScoreAlignment("best.ckpt"), TangentShare(neighbours=9, dimensions=2)):
        record, per_sample = taken(measurement, Bayes(), data)
        results.home(record.model, record.subject.model_key).write(record, per_sample)
    (facts, *_) = side_by_side(results.load()).notes
    assert f"at σ = {SIGMA}" in facts
    assert "tangent space of 2 components of 9 neighbours, 0.667 at random" in facts
    assert list(side_by_side(results.load()).frame.columns[3:]) == ["sim(∇ℓ, score)", "tangent share of ∇ℓ"]

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from alignment import AlphaDx
from eval.records.consensus_alignment import OVER, consensus_alignment
from eval.records.estimator_interval import Parts, corrected, interval_over_estimators
from eval.records.intervals import mean_interval
from eval.records.measurements import Alignment
from eval.records.outcome import Outcome
from eval.records.per_sample import mean_cosine
from eval.records.subject import chosen_samples
from generators import Consensus, ResidualEstimator
from training.data import Spheres
from training.passes import CountPasses
from training.seeds import generator_for

OPTIONS = {"of": "closest_to_true", "candidates": None, "signed": False}


class Noisy:
    """The truth with an error of its own."""

    name, digest = "noisy", ""

    def __init__(self, data: Spheres, length: float, seed: int) -> None:
        self.data, self.length, self.seed = data, length, seed
        self.settings = {"length": length, "seed": seed}
        self.asked = 0

    def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        self.asked += 1
        exact = self.data.exact_residual(x, y, target)
        noise = torch.randn(x.shape, generator=generator_for(self.seed))
        return exact + self.length * noise * exact.norm(dim=1, keepdim=True) / x.shape[1] ** 0.5


class Radius(nn.Module):
    """Aligned with Δx but for a fixed direction."""

    def __init__(self, dimensions: int, lean: float) -> None:
        super().__init__()
        self.lean = nn.Parameter(lean * torch.nn.functional.normalize(torch.randn(dimensions), dim=0))

    def forward(self, x: Tensor) -> Tensor:
        margin = x.norm(dim=1) - 1.15 + x @ self.lean
        return torch.stack([-margin / 2, margin / 2], dim=1)


def outcome_of(members: list[ResidualEstimator], classifier: nn.Module, data: Spheres, limit: int = 200) -> Outcome:
    batches, _ = chosen_samples(data, "test", limit)
    return consensus_alignment(Consensus(members), OPTIONS, classifier, batches)


def test_errors_that_are_independent_are_corrected_and_the_interval_holds_the_truth() -> None:
    data, classifier = Spheres(dimensions=500), Radius(500, 0.8)
    exact = data.residual("exact")
    truth = outcome_of([exact, exact], classifier, data).value
    for lengths in ((1.0, 2.0), (0.5, 1.0, 3.0)):
        found = outcome_of([Noisy(data, length, seed) for seed, length in enumerate(lengths)], classifier, data)
        low, high = found.interval
        assert max(found.details["alpha_by_estimator"].values()) < truth - 0.05
        assert found.details["alpha_corrected"] == pytest.approx(truth, abs=0.02)
        assert low < found.value < truth < high
        assert min(found.details["alpha_by_estimator"].values()) == pytest.approx(low, abs=0.05)


def test_of_equal_estimators_the_interval_is_that_of_samples() -> None:
    data, classifier = Spheres(dimensions=20), Radius(20, 1.0)
    exact = data.residual("exact")
    found = outcome_of([exact, exact], classifier, data)
    assert found.details["mutual_cosine"] == pytest.approx(1)
    assert found.details["alpha_corrected"] == pytest.approx(found.value, abs=1e-6)
    assert found.details["alpha_by_estimator"] == pytest.approx({"exact 1": found.value, "exact 2": found.value})
    assert found.interval == pytest.approx(mean_interval(found.per_sample.cosine.to_numpy()), abs=0.005)


def test_the_value_is_that_of_any_estimator_and_each_member_is_asked_once() -> None:
    data, classifier = Spheres(dimensions=20), Radius(20, 1.0)
    members = [Noisy(data, 1.0, 0), Noisy(data, 1.0, 1)]
    found = outcome_of(members, classifier, data)
    batches, _ = chosen_samples(data, "test", 200)
    metric = AlphaDx(Consensus(members), **OPTIONS)
    plain = mean_cosine(lambda batch: metric.similarity(classifier, batch.x, batch.y), classifier, batches)
    assert found.value == pytest.approx(plain.value, abs=1e-6)
    assert np.allclose(found.per_sample.cosine, plain.per_sample.cosine, atol=1e-6)
    assert [member.asked for member in members] == [2, 2]
    assert {"cosine_noisy 1", "cosine_noisy 2", "mutual_cosine"} <= {*found.per_sample.columns}


def test_alpha_by_the_name_of_a_consensus_says_what_its_interval_is_over() -> None:
    data = Spheres(dimensions=6, train_size=50)
    measurement = Alignment({"consensus": ["exact", "nearest"]})
    batches, _ = chosen_samples(data, "test", 60)
    outcome = measurement(CountPasses(Radius(6, 0.5)), data, batches)
    assert outcome.details[OVER] == "samples and estimators"
    assert measurement.quantity(data).settings["estimator"]["name"] == "consensus of exact, nearest"


def test_one_that_does_not_move_samples_has_no_direction_alone() -> None:
    data, classifier = Spheres(dimensions=20), Radius(20, 0.5)

    class Nowhere(Noisy):
        def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
            return torch.zeros_like(x)

    exact = data.residual("exact")
    found = outcome_of([exact, Nowhere(data, 0.0, 0)], classifier, data)
    assert found.value == pytest.approx(outcome_of([exact, exact], classifier, data).value, abs=1e-6)
    assert found.interval[1] == 1  # it agrees with nothing, and so nothing is known of what is missed
    assert found.invalid == 0


def test_of_a_classifier_without_a_gradient_it_is_no_number() -> None:
    """As by one estimator, and without a warning."""
    data, flat = Spheres(dimensions=20), Radius(20, 0.0)
    flat.register_forward_hook(lambda module, inputs, logits: 0 * logits)
    exact = data.residual("exact")
    found = outcome_of([exact, exact], flat, data)
    assert found.invalid == len(found.per_sample) == 200
    assert np.isnan([found.value, *found.interval, found.details["alpha_corrected"]]).all()


def parts_of(*vectors: np.ndarray, gradient: np.ndarray) -> Parts:
    stacked = np.stack(vectors, axis=1)
    return Parts(stacked @ gradient / np.linalg.norm(gradient), stacked @ stacked.transpose(0, 2, 1))


def test_cosines_of_any_mean_follow_from_the_products() -> None:
    random = np.random.default_rng(0)
    a, b, gradient = random.normal(size=(5, 3)), random.normal(size=(5, 3)), random.normal(size=3)
    mixed = 0.3 * a + 0.7 * b
    expected = mixed @ gradient / np.linalg.norm(mixed, axis=1) / np.linalg.norm(gradient)
    assert np.allclose(parts_of(a, b, gradient=gradient).cosines(np.array([0.3, 0.7])), expected)


def test_the_correction_is_spearmans() -> None:
    alphas, mutual = np.array([[0.3, 0.4], [0.3, -0.4], [0.9, 0.9], [-0.3, -0.4], [0.3, 0.4]]), np.ones((5, 2, 2))
    mutual[:, 0, 1] = [0.6, 0.6, 0.5, 0.6, -0.1]
    found = corrected(alphas, mutual, np.array([1, 1]))
    assert found == pytest.approx([(0.3 * 0.4 / 0.6) ** 0.5, 0, 1, -((0.3 * 0.4 / 0.6) ** 0.5), 1])
    assert np.isnan(corrected(alphas, mutual, np.array([2, 0]))).all()


def test_one_sample_has_no_interval() -> None:
    one = parts_of(np.ones((1, 3)), np.eye(3)[:1], gradient=np.ones(3))
    assert np.isnan(interval_over_estimators(one, np.array([0.5, 0.5]))).all()

import pytest
import torch
from torch import Tensor

from generators import Consensus, ResidualEstimator, mutual_cosine, rated_weights
from generators.store import for_samples, is_by_sample
from generators.store.reading import BySample
from training.data import Spheres


class Along:
    """A multiple of a fixed vector."""

    digest = ""

    def __init__(self, *vector: float, name: str = "along") -> None:
        self.vector, self.name = torch.tensor(vector), name
        self.settings = {"vector": [*vector]}

    def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        return self.vector.expand_as(x).clone()


class Kept(BySample):
    """Knows the residual of each sample by its number alone."""

    name, digest = "kept", "d"
    settings = {}  # type: ignore[assignment] # noqa: RUF012

    def __init__(self) -> None: ...

    def at(self, indices: Tensor) -> ResidualEstimator:
        return Along(float(indices[0]), 0.0)


X, Y = torch.zeros(3, 2), torch.tensor([0, 1, 0])


def residual_by(estimator: ResidualEstimator) -> Tensor:
    return estimator(X, Y, 1 - Y)


def test_it_is_the_mean_by_the_ratios_of_weights() -> None:
    members = [Along(1.0, 0.0), Along(0.0, 4.0)]
    assert torch.equal(residual_by(Consensus(members))[0], torch.tensor([0.5, 2.0]))
    assert torch.equal(residual_by(Consensus(members, [3.0, 1.0]))[0], torch.tensor([0.75, 1.0]))
    assert torch.equal(residual_by(Consensus(members, [30.0, 10.0]))[0], torch.tensor([0.75, 1.0]))


def test_order_does_not_matter_and_one_that_agrees_changes_nothing() -> None:
    members, weights = [Along(1.0, 2.0), Along(0.5, -1.0), Along(2.0, 0.0)], [0.2, 0.5, 0.3]
    turned = residual_by(Consensus(members[::-1], weights[::-1]))
    torch.testing.assert_close(turned, residual_by(Consensus(members, weights)))
    exact = Spheres(dimensions=2).residual("exact")
    x, y, _ = Spheres(dimensions=2).split("test").__getitems__(range(5))
    torch.testing.assert_close(Consensus([exact, exact], [0.3, 0.7])(x, y, 1 - y), exact(x, y, 1 - y))


def test_it_says_what_it_is_made_of() -> None:
    consensus = Consensus([Along(1.0, name="a"), Along(2.0, name="b")], [1.0, 2.0])
    assert consensus.name == "consensus of a, b"
    assert consensus.settings["weights"] == [0.333, 0.667]
    assert [member["name"] for member in consensus.settings["members"]] == ["a", "b"]
    assert Consensus([Kept(), Kept()]).digest != Consensus([Kept(), Along(1.0)]).digest


def test_a_store_among_the_members_is_asked_by_sample() -> None:
    consensus = Consensus([Kept(), Along(0.0, 2.0)])
    assert is_by_sample(consensus)
    assert not is_by_sample(Consensus([Along(1.0), Along(2.0)]))
    assert torch.equal(residual_by(for_samples(consensus, torch.tensor([4, 5, 6])))[0], torch.tensor([2.0, 1.0]))


def test_mutual_cosine_is_one_where_all_agree_and_the_mean_over_pairs_elsewhere() -> None:
    vectors = torch.randn(1, 4, 3)
    torch.testing.assert_close(mutual_cosine(torch.cat([vectors, 3 * vectors])), torch.ones(4))
    torch.testing.assert_close(mutual_cosine(torch.cat([vectors, -vectors])), -torch.ones(4))
    torch.testing.assert_close(mutual_cosine(torch.cat([vectors, vectors, -vectors])), torch.full((4,), -1 / 3))
    assert (mutual_cosine(torch.cat([vectors, 0 * vectors])) == 0).all()


def test_mutual_cosine_of_independent_errors_is_the_product_of_cosines_to_the_truth() -> None:
    truth = torch.nn.functional.normalize(torch.randn(1, 50, 4000), dim=2)
    noise = torch.randn(2, 50, 4000) / 4000**0.5
    lengths = torch.tensor([0.75, 1.5]).reshape(2, 1, 1)
    cosines = 1 / (1 + lengths.square()).sqrt()
    assert mutual_cosine(truth + lengths * noise).mean() == pytest.approx(float(cosines.prod()), abs=0.01)


def test_each_is_heard_as_often_as_it_leads_to_the_class_however_long_it_is() -> None:
    shares, lengths = [0.9, 0.6, 0.0], [8.0, 0.01, 1.0]
    weights = rated_weights(shares, lengths)
    heard = [weight * length for weight, length in zip(weights, lengths, strict=True)]
    assert heard[0] / heard[1] == pytest.approx(0.9 / 0.6)
    assert heard[2] == 0
    assert sum(weights) == pytest.approx(1)
    assert rated_weights([1.0, 1.0], [0.0, 2.0]) == [0.0, 1.0]
    assert rated_weights([0.5, 1.0], [20.0, 40.0]) == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(
    ("shares", "lengths", "said"),
    [
        ([0.5], [1.0, 2.0], r"`shares` should lie in \[0, 1\], one for each of 2 lengths"),
        ([0.5, 1.5], [1.0, 2.0], r"Found \[0.5, 1.5\]"),
        ([0.5, 0.5], [1.0, float("nan")], r"`lengths` should be finite and not negative. Found \[1.0, nan\]"),
        ([0.0, 0.0], [1.0, 2.0], r"before this judge none leads a sample"),
    ],
)
def test_ratings_that_are_none_are_refused(shares: list[float], lengths: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        rated_weights(shares, lengths)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, float("nan")]])
def test_weights_that_are_none_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match=r"`weights` should be one for each of 2 estimators, not negative"):
        Consensus([Along(1.0), Along(2.0)], weights)


def test_one_estimator_is_no_consensus() -> None:
    with pytest.raises(ValueError, match=r"`members` should be at least two estimators. Found 1."):
        Consensus([Along(1.0)])
    with pytest.raises(ValueError, match=r"`residuals` should be of at least two estimators. Found 1."):
        mutual_cosine(torch.ones(1, 2, 3))


@pytest.mark.usefixtures("as_in_production")
def test_a_residual_of_another_shape_is_said_with_its_estimator() -> None:
    class Flat(Along):
        def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
            return x[:, :1]

    with pytest.raises(
        ValueError, match=r"`residual by flat` should have the shape of `x`, \(3, 2\). Found \(3, 1\)"
    ):
        residual_by(Consensus([Along(1.0, 2.0), Flat(1.0, name="flat")]))

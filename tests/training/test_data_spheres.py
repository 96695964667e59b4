"""Spheres: exact radii, uniform directions, and draws that depend on seed, epoch and index alone."""

import pytest
import torch
from scipy.stats import beta, kstest

from training.data import Spheres
from training.data.spheres import SphereSamples


def drawn(count: int, dimensions: int, epoch: int = 0, seed: int = 0):
    samples = SphereSamples(count, dimensions, seed, fresh=True)
    samples.set_epoch(seed, epoch)
    return samples.__getitems__(range(count))


@pytest.mark.parametrize("dimensions", [2, 500])
def test_radii_are_exact(dimensions):
    x, y, _ = drawn(1500, dimensions)
    radii = torch.tensor([1.0, 1.3], dtype=torch.float64)[y]
    torch.testing.assert_close(x.double().norm(dim=1), radii, rtol=1e-7, atol=0)


def test_classes_are_equally_likely():
    y = drawn(4000, 2).y
    assert abs(float(y.double().mean()) - 0.5) < 4 * 0.5 / 4000**0.5


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("dimensions", [2, 3, 20])
def test_directions_are_uniform(dimensions, label):
    x, y, _ = drawn(4000, dimensions)
    directions = torch.nn.functional.normalize(x[y == label].double(), dim=1)
    shape = (dimensions - 1) / 2
    for coordinate in directions.T[:3]:  # a coordinate of a uniform direction, moved to [0, 1], is Beta(shape, shape)
        assert kstest((coordinate + 1) / 2, beta(shape, shape).cdf).pvalue > 1e-3
    assert directions.mean(dim=0).norm() < 3 / len(directions) ** 0.5


def test_sample_does_not_depend_on_the_batch_it_is_in():
    whole = drawn(2500, 4, epoch=3)
    samples = SphereSamples(2500, 4, 0, fresh=True)
    samples.set_epoch(0, 3)
    order = torch.randperm(2500)
    for indices in order.split(500):  # reaches across blocks, back and forth
        batch = samples.__getitems__(indices.tolist())
        assert torch.equal(batch.x, whole.x[indices])
        assert torch.equal(batch.y, whole.y[indices])
        assert torch.equal(batch.indices, indices)


@pytest.mark.parametrize("indices", [range(50), range(950, 1000), range(990, 1010), [3, 2], [0, 2], [1999]])
def test_samples_that_were_sent_to_a_device_are_the_same(indices):
    samples = SphereSamples(2500, 4, 0, fresh=True)
    there = samples.near(torch.device("cpu"))
    assert there is not samples
    for split in (samples, there):
        split.set_epoch(0, 3)
        batch, whole = split.__getitems__(indices), drawn(2500, 4, epoch=3)
        assert torch.equal(batch.x, whole.x[[*indices]])
        assert torch.equal(batch.y, whole.y[[*indices]])
        batch.x.zero_()  # is no part of the split
        assert torch.equal(split.__getitems__(indices).x, whole.x[[*indices]])


def test_sample_does_not_depend_on_the_number_of_samples():
    assert torch.equal(drawn(30, 4).x, drawn(2000, 4).x[:30])


def test_every_epoch_and_every_seed_draws_anew():
    draws = [drawn(100, 4, epoch, seed).x for epoch in (0, 1) for seed in (0, 1)]
    assert len(torch.cat(draws).unique(dim=0)) == 400


@pytest.mark.parametrize("split", ["validation", "test"])
def test_evaluation_samples_stay_the_same_in_every_epoch(split):
    samples = Spheres(dimensions=4).split(split)
    before = samples.__getitems__(range(100))
    samples.set_epoch(0, 7)
    assert torch.equal(samples.__getitems__(range(100)).x, before.x)


def test_training_visits_fresh_samples_in_every_epoch():
    loader = Spheres(dimensions=4, train_size=100).train_dataloader()
    epochs = []
    for epoch in range(3):
        loader.sampler.set_epoch(epoch)
        epochs += [batch.x for batch in loader]
    assert len(torch.cat(epochs).unique(dim=0)) == 300


def test_exact_residual_leads_onto_the_other_sphere():
    data = Spheres(dimensions=10)
    x, y, _ = data.split("test").__getitems__(range(200))
    moved = x + data.residual("exact")(x, y, 1 - y)
    expected = torch.tensor([1.3, 1.0])[y]
    torch.testing.assert_close(moved.norm(dim=1), expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(moved / expected.unsqueeze(1), x / (2.3 - expected).unsqueeze(1), rtol=0, atol=1e-6)


def test_one_dimension_is_refused():
    with pytest.raises(ValueError, match=r"`dimensions` should be at least 2. Found 1"):
        Spheres(dimensions=1)


def test_an_epoch_as_long_as_the_paper_s_is_drawn_as_it_is_needed():
    split = Spheres(train_size=500_000).split("train")
    x, y, _ = split.__getitems__([0, 499_999])
    assert len(split) == 500_000
    torch.testing.assert_close(x.norm(dim=1), torch.tensor([1.0, 1.3])[y])

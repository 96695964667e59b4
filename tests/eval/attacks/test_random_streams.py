"""Random numbers by key: uniform, unrelated, and the same however they are asked for."""

import math

import torch
from scipy.stats import chisquare, kstest

from eval.attacks import random_streams
from eval.attacks.random_streams import sample_keys, uniform


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_random_numbers_are_uniform_and_unrelated():
    keys = sample_keys(torch.randn(40, 30), seeded())
    drawn = uniform(keys, range(5, 105), 3)
    assert drawn.shape == (100, 40, 3)
    assert 0 <= drawn.min() < drawn.max() < 1
    assert kstest(drawn.flatten().numpy(), "uniform").pvalue > 1e-3
    places = (drawn * 25).long().flatten()
    assert chisquare(torch.bincount(places, minlength=25).numpy()).pvalue > 1e-3
    for other in (drawn.roll(1, 0), drawn.roll(1, 1), drawn.roll(1, 2)):
        both = torch.stack([drawn.flatten(), other.flatten()])
        assert abs(float(torch.corrcoef(both)[0, 1])) < 4 / math.sqrt(drawn.numel())
    assert len(drawn.unique()) == drawn.numel()


def test_random_numbers_do_not_depend_on_how_they_are_asked_for():
    keys = sample_keys(torch.randn(4, 30), seeded())
    drawn = uniform(keys, range(2, 10), 3)
    assert torch.equal(drawn[3:5, 1:2], uniform(keys[1:2], range(5, 7), 3))


def test_key_depends_on_every_feature_and_its_place():
    x = torch.zeros(6, 4)
    x[1, 0] = x[2, 1] = 1
    x[3, 0] = torch.nextafter(torch.tensor(0.0), torch.tensor(1.0))
    x[4, 0] = -1
    keys = sample_keys(x, seeded())
    assert keys[0] == keys[5]
    assert len(keys.unique()) == 5
    assert len(torch.stack([keys, sample_keys(x, seeded(1))]).unique()) == 10


def test_mixing_is_that_of_splitmix64():
    """The generator's first numbers from state 0, published with its reference program."""
    states = torch.tensor([0, random_streams.GOLDEN])
    assert [int(v) & (2**64 - 1) for v in random_streams._mixed(states)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]

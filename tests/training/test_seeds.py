"""Derived seeds: the same everywhere and for ever, and different for different names."""

import numpy as np
import pytest
import torch

from training.seeds import derived_seed, generator_for

PARTS = [
    (),
    (0,),
    (1,),
    ("0",),
    (0, 0),
    (0, "order", 1),
    (0, "order", 11),
    (0, "order1", 1),
    ("ab", "c"),
    ("a", "bc"),
]


@pytest.mark.parametrize(
    ("parts", "seed"),
    [
        ((0,), 7210762507766007076),
        ((0, "order", 1), 7021862330116196507),
        ((12345, "attack", 3, 7, 0), 999605946381422773),
    ],
)
def test_seed_never_changes(parts, seed):
    assert derived_seed(*parts) == seed


def test_different_parts_give_different_seeds():
    assert len({derived_seed(*parts) for parts in PARTS}) == len(PARTS)


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize("kind", [np.int64, np.uint8])
def test_integers_of_numpy_give_the_seeds_of_integers(kind):
    assert derived_seed(kind(3), "order") == derived_seed(3, "order")


def test_seeds_fill_their_range():
    seeds = [derived_seed(number) for number in range(1000)]
    assert 0 <= min(seeds) < 2**55
    assert 2**63 - 2**55 < max(seeds) < 2**63


def test_generator_starts_from_the_derived_seed():
    generator = generator_for(3, "attack")
    assert generator.initial_seed() == derived_seed(3, "attack")
    assert torch.equal(
        torch.rand(5, generator=generator),
        torch.rand(5, generator=torch.Generator().manual_seed(derived_seed(3, "attack"))),
    )


def test_seeding_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    generator_for(3, "attack")
    assert torch.equal(torch.get_rng_state(), before)

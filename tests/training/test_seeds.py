"""Derived seeds: the same everywhere and for ever, and different for different names."""

import numpy as np
import pytest
import torch

from training.seeds import derived_seed, generator_for, generator_or_fresh

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


@pytest.mark.parametrize("part", [None, 1.5, (0,), torch.tensor(1)])
@pytest.mark.usefixtures("as_in_production")
def test_a_seed_that_is_no_whole_number_is_refused(part: object) -> None:
    with pytest.raises(ValueError, match=r"`seed` should be a whole number. Found "):
        derived_seed(0, part)


def test_generator_is_kept_and_a_fresh_one_differs_each_time() -> None:
    given = torch.Generator().manual_seed(3)
    assert generator_or_fresh(given) is given
    assert generator_or_fresh(None).initial_seed() != generator_or_fresh(None).initial_seed()


@pytest.mark.parametrize("generator", [3, 0, "seed", np.random.default_rng(0)])
@pytest.mark.usefixtures("as_in_production")
def test_another_source_of_randomness_is_refused(generator: object) -> None:
    with pytest.raises(ValueError, match=r"`generator` should be a torch.Generator. Found "):
        generator_or_fresh(generator)

"""Who leaves, when, and what fills the places of those that left."""

import pytest
import torch
from torch import Tensor

from training.active import Active
from training.leaving import Departures, Leaving

ON_GPU = Leaving(every=8, buckets=True)


def staying(size: int, *those: int) -> Tensor:
    stays = torch.zeros(size, dtype=torch.bool)
    stays[list(those)] = True
    return stays


def test_rule_depends_on_the_device() -> None:
    assert Leaving.for_device(torch.device("cpu")) == Leaving(every=1, buckets=False)
    assert Leaving.for_device(torch.device("cuda", 1)) == ON_GPU


def test_sizes_are_exact_or_the_next_bucket() -> None:
    for count in range(1, 2000):
        size = ON_GPU.size(count)
        assert Leaving().size(count) == count <= size
        assert size % 64 == 0
        assert (size // 64).bit_count() == 1
        assert size == 64 or size < 2 * count


def test_exactly_those_that_are_not_done_stay() -> None:
    assert Leaving().rows(staying(6, 1, 4)).tolist() == [1, 4]
    assert Leaving().rows(staying(3)).tolist() == []
    assert Leaving().rows(staying(3, 0, 1, 2)) is None


def test_bucket_is_filled_with_those_that_are_done() -> None:
    those = sorted(torch.randperm(500)[:70].tolist())
    rows = ON_GPU.rows(staying(500, *those))
    assert len(rows) == 128
    assert set(those) < set(rows.tolist())
    assert rows.tolist() == sorted(set(rows.tolist()))


@pytest.mark.parametrize(("size", "count"), [(128, 65), (100, 65), (40, 3), (64, 1)])
def test_nobody_leaves_where_the_bucket_is_the_batch(size: int, count: int) -> None:
    assert ON_GPU.rows(staying(size, *range(count))) is None


def test_bucket_is_left_once_all_are_done() -> None:
    assert ON_GPU.rows(staying(40)).tolist() == []


def test_decisions_are_made_at_the_start_and_every_few_iterations() -> None:
    departures, stays = Departures(ON_GPU), staying(200, 0)
    made = [departures.rows(stays) is not None for _ in range(20)]
    assert [i for i, decided in enumerate(made) if decided] == [0, 8, 16]
    departures = Departures(ON_GPU)
    made = [departures.rows(stays, iterations) is not None for iterations in (1, 3, 3, 3, 64, 64, 1, 7, 1)]
    assert [i for i, decided in enumerate(made) if decided] == [0, 4, 5, 6, 8]
    departures = Departures(Leaving())
    assert all(departures.rows(stays) is not None for _ in range(3))


def test_keeps_as_active_does() -> None:
    ends, state = torch.rand(5, 2), torch.arange(5)
    for those in ([0, 3], [], [0, 1, 2, 3, 4]):
        theirs, ours = Active(torch.zeros(5, 2)), Active(torch.zeros(5, 2))
        (expected,) = theirs.keep(staying(5, *those), ends, state)
        (found,) = Departures(Leaving()).keep(ours, staying(5, *those), ends, state)
        assert torch.equal(found, expected)
        assert torch.equal(ours.indices, theirs.indices)
        assert torch.equal(ours.ends, theirs.ends)
        assert torch.equal(ours.end(ends[found] + 1), theirs.end(ends[found] + 1))

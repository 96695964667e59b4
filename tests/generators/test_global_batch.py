"""The part of a batch that one of several processes has."""

from functools import partial

import pytest
import torch
from torch import Tensor

from generators.global_batch import Portion, SharedGenerator, drawn, portion_of, portion_of_step

TOTALS = [1, 5, 12]


@pytest.mark.parametrize("total", TOTALS)
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_every_sample_is_with_one_process_and_counts_the_same(total: int, processes: int) -> None:
    portions = [Portion(total, rank, processes) for rank in range(processes)]
    assert sum(portion.here for portion in portions) == total
    values = torch.arange(total, dtype=torch.float64)
    means = [
        portion.weight * values[rank::processes].mean() if portion.here else 0.0
        for rank, portion in enumerate(portions)
    ]
    assert sum(means) / processes == pytest.approx(float(values.mean()))


@pytest.mark.parametrize("total", TOTALS)
@pytest.mark.parametrize("processes", [2, 3])
def test_a_sample_meets_the_same_numbers_in_any_process(total: int, processes: int) -> None:
    def rows(portion: Portion) -> Tensor:
        generator = SharedGenerator("cpu", portion).manual_seed(3)
        drawn(portion.here, generator, lambda count: torch.randn(count, generator=generator))
        return drawn(portion.here, generator, lambda count: torch.rand(count, 2, generator=generator))

    whole = rows(Portion(total))
    assert torch.equal(whole, _after(torch.randn(total), total))
    for rank in range(processes):
        mine = Portion(total, rank, processes)
        if mine.here:
            assert torch.equal(rows(mine), whole[rank::processes])


def _after(first: Tensor, total: int) -> Tensor:
    """What an ordinary generator draws after as many numbers."""
    generator = torch.Generator().manual_seed(3)
    torch.randn(len(first), generator=generator)
    return torch.rand(total, 2, generator=generator)


def test_rows_for_other_numbers_of_samples_differ_between_processes() -> None:
    rows = [Portion(12, rank, 2).rows(4, partial(torch.arange)) for rank in (0, 1)]
    assert [part.tolist() for part in rows] == [[0, 2, 4, 6], [1, 3, 5, 7]]


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_samples_change_as_in_the_whole_batch(processes: int) -> None:
    x = torch.randn(7, 2)
    change = torch.randn(7, 1)
    parts = [
        Portion(7, rank, processes).mapped(x[rank::processes], lambda y: y * change) for rank in range(processes)
    ]
    for rank, part in enumerate(parts):
        assert torch.equal(part, (x * change)[rank::processes])


def test_a_copy_draws_the_same_for_the_same_samples() -> None:
    generator = SharedGenerator("cpu", Portion(6, 1, 2)).manual_seed(5)
    torch.rand(3, generator=generator)
    copied = generator.clone_state()
    assert torch.equal(torch.rand(3, generator=copied), torch.rand(3, generator=generator))
    assert portion_of(copied) == Portion(6, 1, 2)
    assert portion_of(torch.Generator()) is None


class _Trainer:
    global_rank, world_size, train_dataloader = 1, 2, None


def test_an_order_of_someone_else_has_as_many_samples_in_every_process() -> None:
    assert portion_of_step(_Trainer(), 5, 3) == Portion(10, 1, 2)

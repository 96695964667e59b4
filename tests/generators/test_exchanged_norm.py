"""Batch norm over processes, in a group of one: what it does is what torch does."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn

from generators.networks.exchanged_norm import ExchangedBatchNorm, count_samples, exchange_batch_norm


@pytest.fixture
def _group(tmp_path: Path) -> Iterator[None]:
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def both(**options: Any) -> tuple[nn.Module, nn.Module]:
    norm = nn.BatchNorm2d(3, **options)
    if norm.affine:
        nn.init.uniform_(norm.weight, 0.5, 2.0)
        nn.init.uniform_(norm.bias)
    plain = nn.Sequential(norm, nn.Tanh())
    shared = deepcopy(plain)
    exchange_batch_norm(shared)
    assert isinstance(shared[0], ExchangedBatchNorm)
    return plain, shared


def second_order(network: nn.Module, x: Tensor) -> list[Tensor]:
    """The output, the gradient in x, and that of its length in all weights and x."""
    x = x.clone().requires_grad_()
    found = network(x)
    (gradient,) = torch.autograd.grad(found.square().sum(), x, create_graph=True)
    return [found, gradient, *torch.autograd.grad(gradient.square().sum(), [x, *network.parameters()])]


@pytest.mark.usefixtures("_group")
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"momentum": None}, {"eps": 0.1}])
def test_it_normalises_differentiates_and_follows_as_batch_norm_does(options: dict[str, Any]) -> None:
    plain, shared = (network.double() for network in both(**options))
    for number in range(3):
        x = torch.randn(5, 3, 4, 4, dtype=torch.float64) + number
        for found, wanted in zip(second_order(shared, x), second_order(plain, x), strict=True):
            torch.testing.assert_close(found, wanted)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(shared.state_dict()[name], value, msg=lambda told, name=name: f"{name}: {told}")
    assert torch.equal(shared.eval()(x), plain.eval()(x)) or torch.allclose(shared(x), plain(x), rtol=1e-12)


@pytest.mark.usefixtures("_group")
def test_its_weights_are_those_of_the_batch_norm_and_bear_their_names() -> None:
    norm = nn.BatchNorm1d(2)
    network = nn.Sequential(norm)
    exchange_batch_norm(network)
    assert network[0].weight is norm.weight
    assert network.state_dict().keys() == nn.Sequential(norm).state_dict().keys()


@pytest.mark.usefixtures("_group")
def test_samples_that_repeat_others_do_not_count() -> None:
    """Alone they would leave no statistics; what matters is that they add nothing."""
    _, shared = both()
    count_samples(shared, False)
    assert not shared(torch.randn(2, 3, 2, 2)).isfinite().all()
    count_samples(shared, True)
    assert shared(torch.randn(2, 3, 2, 2)).isfinite().all()


def test_without_other_processes_it_is_batch_norm() -> None:
    plain, shared = both()
    x = torch.randn(4, 3, 2, 2)
    assert torch.equal(shared(x), plain(x))


def test_one_that_keeps_no_statistics_for_evaluation_is_left_alone() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), nn.GroupNorm(1, 3))
    exchange_batch_norm(network)
    assert type(network[0]) is nn.BatchNorm2d

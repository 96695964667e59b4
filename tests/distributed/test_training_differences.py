"""What a training in several processes says of how it differs from one process."""

import pytest
from torch import nn
from torchvision.ops import StochasticDepth

from generators.networks.exchanged_norm import exchange_batch_norm
from training.networks import FrozenBatchNorm, set_batch_norm
from training.processes import said_to_differ


def normed() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def exchanged(mode: str = "on") -> nn.Module:
    """As a classifier in several processes has it."""
    network = normed()
    set_batch_norm(network, mode)
    exchange_batch_norm(network)
    return network


@pytest.mark.parametrize("network", [normed(), nn.Dropout(0.5)])
def test_one_process_has_nothing_to_say(network: nn.Module) -> None:
    assert said_to_differ(network, 1) == ""


@pytest.mark.parametrize(
    "network",
    [
        nn.Linear(2, 2),
        nn.Dropout(0.0),
        StochasticDepth(0.0, "row"),
        exchanged(),
        exchanged("frozen"),
        nn.SyncBatchNorm.convert_sync_batchnorm(normed()),
    ],
)
def test_nothing_is_said_where_several_train_as_one(network: nn.Module) -> None:
    assert said_to_differ(network, 2) == ""


@pytest.mark.parametrize("layer", [nn.Dropout(0.1), nn.Dropout2d(0.1), StochasticDepth(0.1, "row")])
def test_what_is_dropped_at_random_is_named(layer: nn.Module) -> None:
    said = said_to_differ(nn.Sequential(nn.Linear(2, 2), layer), 3)
    assert said.startswith("3 processes")
    assert "dropout" in said
    assert "batch norm" not in said


def test_batch_norm_whose_statistics_are_not_exchanged_is_named() -> None:
    assert "batch norm" in said_to_differ(exchanged("no_running_statistics"), 2)
    assert "dropout" not in said_to_differ(exchanged("no_running_statistics"), 2)


def test_frozen_batch_norm_is_left_as_it_is() -> None:
    assert any(isinstance(part, FrozenBatchNorm) for part in exchanged("frozen").modules())

"""Radii, accuracy and alignment are measured on a device without float64, and are those of a CPU."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from alignment import alpha_dx, alpha_x
from alignment.metrics import AlphaX
from eval.attacks.autoattack import auto_attack
from eval.attacks.minimum_norm import ddn
from eval.attacks.spatial import spatial_attack
from eval.attacks.square import square_attack
from eval.robustness.fixed_strength import robust_accuracy
from eval.robustness.radii import critical_radii, minimal_radii
from tests.without_double import a_device_without_double, on_both, there
from training.attacks import pgd

BOUNDS = (0.0, 1.0)
Put = Callable[[Any], Any]


def problem(put: Put) -> tuple[nn.Module, Tensor, Tensor]:
    """A small network, images, and what it takes most of them for."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 16, 3)).eval()
    x = torch.rand(12, 1, 6, 6)
    y = network(x).argmax(dim=1)
    y[0] = (y[0] + 1) % 3
    return put(network), put(x), put(y)


def of_radii(put: Put, norm: Any) -> list[Tensor]:
    network, x, y = problem(put)
    found = critical_radii(network, [(x, y)], partial(pgd, steps=4), bounds=BOUNDS, norm=norm, resolution=0.05)
    return [found.lower, found.upper]


def of_minimal(put: Put) -> list[Tensor]:
    network, x, y = problem(put)
    return [minimal_radii(network, [(x, y)], partial(ddn, steps=5), bounds=BOUNDS).upper]


def of_accuracy(put: Put) -> list[Tensor]:
    network, x, y = problem(put)
    return [robust_accuracy(network, [(x, y)], partial(pgd, steps=4), 0.05, bounds=BOUNDS).distance]


def of_square(put: Put, norm: Any) -> list[Tensor]:
    network, x, y = problem(put)
    generator = torch.Generator().manual_seed(0)
    found = square_attack(network, x, y, 0.3, norm=norm, queries=20, bounds=BOUNDS, generator=generator)
    return [found]


def of_auto_attack(put: Put) -> list[Tensor]:
    network, x, y = problem(put)
    generator, steps = torch.Generator().manual_seed(0), {"steps": 4, "queries": 4}
    found = auto_attack(
        network, x, y, 3.0, norm="L1", attacks=["apgd-ce"], bounds=BOUNDS, generator=generator, **steps
    )
    return [found]


def of_flows(put: Put) -> list[Tensor]:
    network, x, y = problem(put)
    return [spatial_attack(network, x, y, 2.0, iterations=3, bounds=BOUNDS)]


def of_alphas(put: Put) -> list[Tensor]:
    network, x, y = problem(put)
    return [alpha_dx(network, x, y, lambda x, y, target: 1 - x), alpha_x(network, x)]


CALLS: dict[str, Callable[[Put], list[Tensor]]] = {
    "critical radii in Linf": partial(of_radii, norm="Linf"),
    "critical radii in L2": partial(of_radii, norm="L2"),
    "minimal radii": of_minimal,
    "robust accuracy": of_accuracy,
    "square in Linf": partial(of_square, norm="Linf"),
    "square in L2": partial(of_square, norm="L2"),
    "auto-attack in L1": of_auto_attack,
    "spatial": of_flows,
    "alphas": of_alphas,
}


@pytest.mark.parametrize("name", CALLS)
def test_a_device_without_double_finds_what_a_cpu_finds(name: str, as_in_production: None) -> None:
    plain, found = on_both(CALLS[name])
    torch.testing.assert_close(found, plain)


def test_a_metric_goes_there_without_its_sum(as_in_production: None) -> None:
    network, x, y = problem(lambda value: value)
    plain = AlphaX()
    plain.update(network, x, y)
    with a_device_without_double():
        metric = AlphaX().to("meta")
        metric.update(there(network), there(x), there(y))
        assert metric.total.device.type == "cpu"
        torch.testing.assert_close(metric.compute().cpu(), plain.compute())


def test_the_device_refuses_float64() -> None:
    with a_device_without_double(), pytest.raises(TypeError, match="Cannot hold float64"):
        there(torch.rand(2)).double()
    with a_device_without_double(), pytest.raises(TypeError, match="Cannot hold float64"):
        there(torch.rand(2).double())
    with a_device_without_double(), pytest.raises(RuntimeError, match="on the same device"):
        there(torch.rand(2)) + torch.rand(2)

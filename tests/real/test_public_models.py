"""What packages ship loads as it is, and its normalisation matters."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmarks.public_models import PUBLIC, Public
from eval import critical_radii
from eval.attacks.verdict import predictions
from training import pgd
from training.data import DataSet
from training.networks.normalization import Normalized

MNIST_ONES = tuple(public for public in PUBLIC if public.right == "mnist")
by_package = pytest.mark.parametrize("public", PUBLIC, ids=lambda public: public.package)


def installed(public: Public) -> Public:
    pytest.importorskip(public.module, reason=f"pip install {public.package}")
    return public


def shown(data: DataSet, count: int) -> tuple[Tensor, Tensor]:
    """The first test images of a data set."""
    batch = next(iter(data.batches("test")))
    return batch.x[:count], batch.y[:count]


def accuracy(network: nn.Module, normalization: str, data: DataSet, count: int) -> float:
    x, y = shown(data, count)
    classifier = Normalized(network, normalization, bounds=data.bounds)
    return float((predictions(classifier, x) == y).double().mean())


@by_package
def test_shipped_weights_load_into_the_shipped_network(public: Public) -> None:
    """Those of pyautoattack were saved on a GPU, in the oldest of torch's forms."""
    made = public.data(data_root="nowhere")
    network = installed(public).load(made)
    logits = network(torch.zeros(2, *made.shape))
    assert logits.shape == (2, 10)
    assert not network.training
    assert all(parameter.device.type == "cpu" for parameter in network.parameters())


@pytest.mark.data
@by_package
def test_the_right_normalisation_is_the_better_one(public: Public, real_data: Path) -> None:
    """What each package's own program does; the wrong one looks plausible on MNIST, so it has to be asked for."""
    data = public.data(data_root=str(real_data))
    network, count = installed(public).load(data), 24 if public.data.shape[0] == 3 else 300
    right, wrong = (accuracy(network, name, data, count) for name in (public.right, public.wrong))
    assert right > 0.9
    assert right > wrong + 0.01


@pytest.mark.data
@pytest.mark.parametrize("public", MNIST_ONES, ids=lambda public: public.package)
def test_the_wrong_normalisation_gives_another_robustness(public: Public, real_data: Path) -> None:
    """Nothing but the number would tell."""
    data = public.data(data_root=str(real_data))
    network = installed(public).load(data)

    def epsilon50(normalization: str) -> float:
        classifier = Normalized(network, normalization, bounds=data.bounds).eval()
        attack = partial(pgd, steps=10, step_size=0.05, leave_when_fooled=True)
        search = partial(critical_radii, only="median", resolution=0.05, bounds=data.bounds)
        return search(classifier, [shown(data, 20)], attack).epsilon50

    right, wrong = epsilon50(public.right), epsilon50(public.wrong)
    assert abs(wrong / right - 1) > 0.1

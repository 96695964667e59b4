"""A published network on real images, end to end: the ResNet-18 of CIFAR-10 that comes with pyautoattack."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from eval.robustness.radii import critical_radii
from training import pgd
from training.data import CIFAR10

BOUNDS = (0.0, 1.0)


@pytest.fixture
def resnet18() -> nn.Module:
    """Trained without attacks, 93.7 % right; for images in [0, 1], which it does not normalise."""
    library = pytest.importorskip("pyautoattack")
    from pyautoattack.examples.resnet import ResNet18

    network = ResNet18()
    weights = Path(library.__file__).with_name("examples") / "model_test.pt"
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network.eval()


@pytest.mark.slow
@pytest.mark.data
def test_network_trained_without_attacks_is_accurate_and_fragile(resnet18: nn.Module, real_data: Path) -> None:
    batch = next(iter(CIFAR10(data_root=str(real_data), bounds=BOUNDS, eval_batch_size=300).batches("test")))
    attack = partial(pgd, steps=10, leave_when_fooled=True)
    search = partial(
        critical_radii, bounds=BOUNDS, only="median", interval=True, resolution=0.05, pilot=30, batch_size=100
    )
    radii = search(resnet18, [(batch.x, batch.y)], attack)
    # 93.7 % on all of the test images, give or take three standard errors of 300.
    assert radii.accuracy_at(0.0) == pytest.approx(0.937, abs=0.042)
    assert 0.5 / 255 < radii.epsilon50 < 2 / 255
    low, high = radii.interval()
    assert low < radii.epsilon50 < high < 2.5 / 255
    assert radii.rejected == 0

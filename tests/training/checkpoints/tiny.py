"""A tiny network with all that real ones have, its weights, and what it returns, for tests of files."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from training.networks.normalization import Normalized

SHAPE, CLASSES, BOUNDS = (3, 6, 6), 5, (-1.0, 1.0)
SIZES = {"shape": SHAPE, "num_classes": CLASSES, "bounds": BOUNDS}
NETWORK = f"{__name__}.Tiny"
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)
"""CIFAR-10's, which no default is."""


class Block(nn.Module):
    """A residual block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bn(self.conv(x)).relu()


class Tiny(nn.Module):
    """A stem, two blocks and a head."""

    def __init__(self, num_classes: int, width: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.layers = nn.Sequential(Block(width), Block(width))
        self.fc = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.layers(self.stem(x).relu()).mean(dim=(2, 3)))


def trained(seed: int = 0, network: nn.Module | None = None) -> nn.Module:
    """A network whose every weight and buffer was set to something of its own, in evaluation mode."""
    torch.manual_seed(seed)
    network = network or Tiny(CLASSES)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
            nn.init.normal_(part.weight)
    return network.eval()


def weights(seed: int = 0) -> dict[str, Tensor]:
    return dict(trained(seed).state_dict())


def under(prefix: str, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in found.items()}


def inputs() -> Tensor:
    return torch.rand(7, *SHAPE, generator=torch.Generator().manual_seed(1)) * 2 - 1


def logits(network: nn.Module, normalization: object = None) -> Tensor:
    """Of the inputs, normalised or as they are."""
    if normalization is not None:
        network = Normalized(network, normalization, bounds=BOUNDS)
    with torch.no_grad():
        return network.eval()(inputs())

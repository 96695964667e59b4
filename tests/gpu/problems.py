"""Networks and samples of which each device gets a copy."""

import copy

import torch
from torch import Tensor, nn

from training import build_network
from training.data import DataSet, Split

SIDE, CLASSES = 8, 4
BOUNDS = (-1.0, 1.0)


def network(classes: int = CLASSES, dtype: torch.dtype = torch.float64) -> nn.Module:
    """A small CNN of random weights, in evaluation mode."""
    return build_network("small_cnn", shape=(1, SIDE, SIDE), num_classes=classes, width=4).to(dtype).eval()


def images(count: int = 12, dtype: torch.dtype = torch.float64) -> Tensor:
    """Images well within the bounds."""
    return 1.6 * torch.rand(count, 1, SIDE, SIDE, dtype=dtype) - 0.8


def there(module: nn.Module, device: torch.device) -> nn.Module:
    """A copy of a module on a device."""
    return copy.deepcopy(module).to(device)


def problem(count: int = 12, classes: int = CLASSES, wrong: int = 4) -> tuple[nn.Module, Tensor, Tensor]:
    """A network, images, and classes of which every `wrong`-th is not the network's."""
    classifier, x = network(classes), images(count)
    with torch.no_grad():
        y = classifier(x).argmax(dim=1)
    return classifier, x, torch.where(torch.arange(count) % wrong == 0, (y + 1) % classes, y)


def on_cpu(seed: int = 0) -> torch.Generator:
    """A source of randomness whose numbers are the same whatever device they are moved to."""
    return torch.Generator().manual_seed(seed)


class Noise(DataSet):
    """Images of noise, of which classes are brighter in turn."""

    name, classes, shape, bounds = "noise", tuple("abcd"), (1, SIDE, SIDE), BOUNDS

    def __init__(self, batch_size: int, count: int = 80) -> None:
        super().__init__(batch_size)
        self.count = count

    def make_split(self, name: str) -> Split:
        labels = torch.arange(self.count) % CLASSES
        noise = torch.rand(self.count, 1, SIDE, SIDE, generator=on_cpu(len(name))) - 0.5
        return Split(noise + 0.1 * labels.float()[:, None, None, None], labels, self.bounds)

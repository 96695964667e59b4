"""Small classifiers of digits, trained in a second, and data in a user's own form."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from training.data import DataSet, Digits, Split
from training.networks.normalization import NORMALIZATIONS, Normalized


@cache
def digits(name: str = "test") -> tuple[Tensor, Tensor]:
    split = Digits().split(name)
    batch = split.__getitems__(range(len(split)))
    return batch.x, batch.y


def trained(seen: Callable[[Tensor], Tensor] = lambda x: x, seed: int = 0) -> nn.Sequential:
    """A network of digits that was trained on inputs as `seen` makes them of [−1, 1]."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10))
        x, y = digits("train")
        optimizer = torch.optim.LBFGS(network.parameters(), max_iter=40)

        def loss() -> Tensor:
            optimizer.zero_grad()
            found = nn.functional.cross_entropy(network(seen(x)), y)
            found.backward()
            return found

        optimizer.step(loss)
    for parameter in network.parameters():
        parameter.grad = None
    return network.eval()


def as_mnist(x: Tensor) -> Tensor:
    """Inputs as a network of MNIST is used to see them."""
    return Normalized(nn.Identity(), NORMALIZATIONS["mnist"], bounds=(-1.0, 1.0))(x)


class TestDigits(DataSet):
    """Digits of somebody who has test samples alone."""

    __test__ = False
    name = "test digits"
    classes = tuple("0123456789")
    bounds = (-1.0, 1.0)
    shape = (1, 8, 8)
    notes = ("The files name no classes, which are numbered.",)

    def make_split(self, name: str) -> Split:
        if name != "test":
            raise ValueError(f"`split` should be test. Found {name}.")
        return Split(*digits(), self.bounds)

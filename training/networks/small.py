"""Networks that a CPU trains in minutes."""

import itertools
import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn


class MLP(nn.Sequential):
    """Fully connected with ReLU; hidden layers of 1,000 and 1,000 are paper 1's network for Spheres.

    Args:
        shape: of one input.
        outputs: number of logits.
        hidden: sizes of the hidden layers.
    """

    def __init__(self, shape: Sequence[int], outputs: int, hidden: Sequence[int] = (1000, 1000)) -> None:
        sizes = [math.prod(shape), *hidden]
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        super().__init__(*layers, nn.Linear(sizes[-1], outputs))


def logistic_regression(shape: Sequence[int], outputs: int) -> MLP:
    """One linear layer: paper 3's network for MNIST 1-vs-2, where the inner maximum has a closed form.

    Args:
        shape: of one input.
        outputs: number of logits.
    """
    return MLP(shape, outputs, hidden=())


class SmallCNN(nn.Module):
    """Two strided convolutions and two linear layers, without normalisation, after Wong and Kolter 2018.

    With 28×28 grey images and width 16 it has 166,406 parameters for ten classes.

    Args:
        shape: of one image, (channels, height, width).
        outputs: number of logits.
        width: channels after the first convolution; the second has twice as many.
        hidden: size of the linear layer.
    """

    def __init__(self, shape: Sequence[int], outputs: int, width: int = 16, hidden: int = 100) -> None:
        super().__init__()
        if len(shape) != 3 or min(shape[1:]) < 4:
            raise ValueError(f"`shape` should be (channels, height, width) of at least 4×4. Found {tuple(shape)}.")
        channels, height, columns = shape
        flat = 2 * width * (height // 2 // 2) * (columns // 2 // 2)
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU(), nn.Linear(hidden, outputs))

    def forward(self, x: Float[Tensor, "B channels height width"]) -> Float[Tensor, "B outputs"]:
        """Logits."""
        return self.head(self.features(x))

"""What stands between the data and a network, and between a network and the logits."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from alignment.logits import unwrapped
from training.networks.normalization import IMAGENET_DEVIATION, IMAGENET_MEAN


class OneLogit(nn.Module):
    """Adapt a binary network with one output z to the logits (−z/2, z/2), so ∇(logit_1 − logit_0) = ∇z.

    Args:
        network: from `(B, *shape)` to `(B, 1)` or `(B,)`, alone or as the only such tensor of several outputs.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Float[Tensor, "B *shape"]) -> Float[Tensor, "B 2"]:
        """Logits of the two classes."""
        output = _one_per_sample(self.network(x), len(x))
        half = output.reshape(len(x), math.prod(output.shape[1:])) / 2
        if half.shape[1] != 1:
            raise ValueError(f"`network` should return one output per sample. Found {half.shape[1]}.")
        return torch.cat([-half, half], dim=1)


def _one_per_sample(output: Any, size: int) -> Tensor:
    """The tensor with one value per sample in what a network returns."""
    if isinstance(output, tuple | list):
        tensors = [part for part in output if isinstance(part, Tensor) and part.ndim and len(part) == size]
        single = [part for part in tensors if part.is_floating_point() and math.prod(part.shape[1:]) == 1]
        output = single[0] if len(single) == 1 else output
    output = unwrapped(output, size)
    if not isinstance(output, Tensor):
        raise ValueError(f"`network` should return one output per sample. Found {type(output).__name__}.")
    return output


class ToImageNetInput(nn.Module):
    """From the data's own range to what ImageNet networks expect: [0, 1], three channels, normalised.

    Args:
        bounds: lowest and highest legal value of an input.
        rescale: False leaves out the way to [0, 1]: ImageNet's mean and deviation are applied to inputs as they are.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, bounds: tuple[float, float], rescale: bool = True) -> None:
        super().__init__()
        low, high = bounds if rescale else (0.0, 1.0)
        if not -float("inf") < low < high < float("inf"):
            raise ValueError(f"`bounds` should be finite for ImageNet normalisation. Found {bounds}.")
        self.low, self.width = low, high - low
        mean, deviation = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_DEVIATION)
        self.register_buffer("mean", mean.reshape(3, 1, 1), persistent=False)
        self.register_buffer("deviation", deviation.reshape(3, 1, 1), persistent=False)

    def forward(self, x: Float[Tensor, "B channels height width"]) -> Float[Tensor, "B 3 height width"]:
        """Normalised images; grey ones are repeated to three channels."""
        return ((x - self.low) / self.width - self.mean) / self.deviation


class Prepared(nn.Module):
    """A network behind its input adapter; the adapter holds no saved weights.

    Args:
        adapter: from inputs in the data's own range to what the network expects.
        network: from there to logits.
    """

    def __init__(self, adapter: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.adapter, self.network = adapter, network

    def forward(self, x: Any) -> Any:
        """Logits."""
        return self.network(self.adapter(x))

"""Networks that return a residual: `(x, y, target) → Δ̂x`, Eq. 10 of paper 1."""

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


class UNet(nn.Module):
    """U-Net (Ronneberger et al. 2015) from an image to a residual; paper 1, section A.3.

    Every level is two convolutions of 3×3, each with batch normalisation and ReLU; down by 2×2 max-pool, up by
    bilinear interpolation. One-hot codes of y and of the target join as constant channels at the bottleneck. Images
    whose sides 2^levels does not divide are padded with their border pixels, as evenly on both sides as can be, and
    the residual is cropped back. The last layer starts at zero, so that training starts at Δ̂x = 0.

    Args:
        shape: of one image, (channels, height, width).
        num_classes: C.
        bounds: lowest and highest legal value of an image; not used.
        width: channels of the first level; every level below has twice as many.
        levels: how often the image is halved; paper 1 takes 4 for Squares and 2 for MNIST-3/5.

    Raises:
        ValueError: if `shape` is not that of an image, or `width` or `levels` is below 1.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int,
        bounds: tuple[float, float],
        *,
        width: int = 64,
        levels: int = 4,
    ) -> None:
        super().__init__()
        if len(shape) != 3:
            raise ValueError(f"`shape` should be (channels, height, width). Found {tuple(shape)}.")
        for argument, value in (("width", width), ("levels", levels)):
            if value < 1:
                raise ValueError(f"`{argument}` should be at least 1. Found {value}.")
        self.shape, self.num_classes = tuple(shape), num_classes
        sizes = [width * 2**level for level in range(levels + 1)]
        self.first = _pair(shape[0], width)
        self.down = nn.ModuleList(
            _pair(above + (2 * num_classes if below == sizes[-1] else 0), below)
            for above, below in itertools.pairwise(sizes)
        )
        self.up = nn.ModuleList(
            _pair(below + above, above) for above, below in reversed([*itertools.pairwise(sizes)])
        )
        self.last = _silent(nn.Conv2d(width, shape[0], 1))

    def forward(
        self, x: Float[Tensor, "B channels height width"], y: Int[Tensor, " B"], target: Int[Tensor, " B"]
    ) -> Float[Tensor, "B channels height width"]:
        """Δ̂x(x, target)."""
        margins = [side for size in x.shape[:1:-1] for side in _margins(size, 2 ** len(self.down))]
        features = [self.first(F.pad(x, margins, mode="replicate"))]
        for level, pair in enumerate(self.down, start=1):
            below = F.max_pool2d(features[-1], 2)
            if level == len(self.down):
                codes = _codes(y, target, self.num_classes, x.dtype)[:, :, None, None]
                below = torch.cat([below, codes.expand(-1, -1, *below.shape[2:])], dim=1)
            features.append(pair(below))
        found = features.pop()
        for pair in self.up:
            above = F.interpolate(found, scale_factor=2, mode="bilinear", align_corners=False)
            found = pair(torch.cat([above, features.pop()], dim=1))
        return F.pad(self.last(found), [-side for side in margins])


class ResidualMLP(nn.Module):
    """Fully connected with ReLU from a vector and the one-hot codes of y and of the target to a residual.

    Hidden layers of 1,000 and 1,000 are paper 1's generator for Spheres. The last layer starts at zero, so that
    training starts at Δ̂x = 0.

    Args:
        shape: of one input.
        num_classes: C.
        bounds: lowest and highest legal value of an input; not used.
        hidden: sizes of the hidden layers.
        skip: add W_target x to the residual, a matrix for each target, learned from zero.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int,
        bounds: tuple[float, float],
        *,
        hidden: Sequence[int] = (1000, 1000),
        skip: bool = False,
    ) -> None:
        super().__init__()
        self.shape, self.num_classes = tuple(shape), num_classes
        size = math.prod(shape)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise([size + 2 * num_classes, *hidden]):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.last = _silent(nn.Linear(hidden[-1] if hidden else size + 2 * num_classes, size))
        self.matrices = _silent(nn.Linear(size, num_classes * size, bias=False)) if skip else None

    def forward(
        self, x: Float[Tensor, "B *shape"], y: Int[Tensor, " B"], target: Int[Tensor, " B"]
    ) -> Float[Tensor, "B *shape"]:
        """Δ̂x(x, target)."""
        flat = x.flatten(1)
        codes = _codes(y, target, self.num_classes, x.dtype)
        residual = self.last(self.layers(torch.cat([flat, codes], dim=1)))
        if self.matrices is not None:
            products = self.matrices(flat).unflatten(1, (self.num_classes, -1))
            residual = residual + products[torch.arange(len(x), device=x.device), target]
        return residual.reshape(x.shape)


def _pair(before: int, after: int) -> nn.Sequential:
    """Twice convolution, batch normalisation (which has a bias, so that the convolution needs none) and ReLU."""
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)


def _silent(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _codes(y: Tensor, target: Tensor, classes: int, dtype: torch.dtype) -> Float[Tensor, "B codes"]:
    return torch.cat([F.one_hot(y, classes), F.one_hot(target, classes)], dim=1).to(dtype)


def _margins(size: int, step: int) -> tuple[int, int]:
    """What to add before and after, so that `step` divides the size."""
    missing = -size % step
    return missing // 2, missing - missing // 2

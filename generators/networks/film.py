"""A U-Net in which every block is told the classes: feature-wise linear modulation (Perez et al. 2018)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from generators.networks.unet import check_sizes, margins, zeroed

TOLD = 32
"""Numbers by which a pair of classes is told to the blocks."""
GROUPS = 4
"""Of channels that are normalised together."""


class FilmUNet(nn.Module):
    """`(x, y, target) → residual`, as `UNet`, for what depends on the classes in few pixels of a large image.

    Every block is a convolution of 3×3, group normalisation, scale and shift by a linear function of the classes
    (https://arxiv.org/abs/1709.07871), SiLU, and the same once more without classes. Down by 2×2 means, up by
    repetition. Nothing depends on other samples of a batch. It starts at zero.

    Args:
        shape: of one image, (channels, height, width).
        num_classes: C.
        bounds: lowest and highest legal value of an image; not used.
        width: channels of the first level, a multiple of 4; every level below has twice as many.
        levels: how often the image is halved.

    Raises:
        ValueError: if `shape` is not that of an image, `levels` is below 1, or `width` is no multiple of 4.
    """

    def __init__(
        self, shape: Sequence[int], num_classes: int, bounds: tuple[float, float], *, width: int = 32, levels: int = 2
    ) -> None:
        super().__init__()
        check_sizes(shape, width, levels)
        if width % GROUPS:
            raise ValueError(f"`width` should be a multiple of {GROUPS}. Found {width}.")
        self.shape, self.num_classes = tuple(shape), num_classes
        self.own, self.asked = nn.Embedding(num_classes, TOLD), nn.Embedding(num_classes, TOLD)
        sizes = [width * 2**level for level in range(levels + 1)]
        self.first = nn.Conv2d(shape[0], width, 3, padding=1)
        self.down = nn.ModuleList(_Block(*pair) for pair in pairwise([width, *sizes]))
        self.up = nn.ModuleList(_Block(below + above, above) for above, below in reversed([*pairwise(sizes)]))
        self.last = zeroed(nn.Conv2d(width, shape[0], 3, padding=1))

    def forward(
        self, x: Float[Tensor, "B channels height width"], y: Int[Tensor, " B"], target: Int[Tensor, " B"]
    ) -> Float[Tensor, "B channels height width"]:
        """Δ̂x(x, target)."""
        around = [side for size in x.shape[:1:-1] for side in margins(size, 2 ** len(self.up))]
        told = F.silu(self.own(y) + self.asked(target))
        found = self.first(F.pad(x, around, mode="replicate"))
        features: list[Tensor] = []
        for block in self.down:
            found = block(F.avg_pool2d(found, 2) if features else found, told)
            features.append(found)
        found = features.pop()
        for block in self.up:
            found = block(torch.cat([F.interpolate(found, scale_factor=2), features.pop()], dim=1), told)
        return F.pad(self.last(found), [-side for side in around])


class _Block(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)
        self.first_norm, self.second_norm = nn.GroupNorm(GROUPS, after), nn.GroupNorm(GROUPS, after)
        self.told = nn.Linear(TOLD, 2 * after)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.told(told)[:, :, None, None].chunk(2, dim=1)
        found = F.silu(self.first_norm(self.first(x)) * (1 + scale) + shift)
        return F.silu(self.second_norm(self.second(found)))

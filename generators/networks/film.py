"""A U-Net in which every block is told the classes: feature-wise linear modulation (Perez et al. 2018)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_counts
from generators.networks.unet import check_sizes, margins, zeroed

TOLD = 32
"""Numbers by which a pair of classes is told to the blocks."""
GROUPS = 4
"""Of channels that are normalised together."""
WAVES = 8
"""Sines, and as many cosines, of log σ, by which a noise level is told."""


class FilmUNet(nn.Module):
    """`(x, y, target) → residual`, as `UNet`, for what depends on the classes in few pixels of a large image.

    Every block is a convolution of 3×3, group normalisation, scale and shift by a linear function of the classes
    (https://arxiv.org/abs/1709.07871), SiLU, and the same once more without classes. Down by 2×2 means, up by
    repetition. Nothing depends on other samples of a batch. It starts at zero. In patches the first level has a
    pixel for each patch, with the patch's pixels as channels (Shi et al. 2016, arXiv 1609.05158), which makes large
    images as cheap as small ones.

    Args:
        shape: of one image, (channels, height, width).
        num_classes: C.
        bounds: lowest and highest legal value of an image; not used.
        width: channels of the first level, a multiple of 4; every level below has twice as many.
        levels: how often the image is halved.
        patch: side, in pixels, of what is one pixel of the first level.
        noise: whether the blocks are told a noise level too, as a denoiser's are.

    Raises:
        ValueError: if `shape` is not that of an image, `levels` or `patch` is below 1, or `width` no multiple of 4;
            when it is asked, if it is not given the noise level that it is told, or given one that it is not.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int,
        bounds: tuple[float, float],
        *,
        width: int = 32,
        levels: int = 2,
        patch: int = 1,
        noise: bool = False,
    ) -> None:
        super().__init__()
        check_sizes(shape, width, levels)
        check_counts(1, patch=patch)
        if width % GROUPS:
            raise ValueError(f"`width` should be a multiple of {GROUPS}. Found {width}.")
        self.shape, self.num_classes, self.patch = tuple(shape), num_classes, patch
        self.own, self.asked = nn.Embedding(num_classes, TOLD), nn.Embedding(num_classes, TOLD)
        sizes = [width * 2**level for level in range(levels + 1)]
        self.noise = _told_noise() if noise else None
        self.first = nn.Conv2d(shape[0] * patch**2, width, 3, padding=1)
        self.down = nn.ModuleList(_Block(*pair) for pair in pairwise([width, *sizes]))
        self.up = nn.ModuleList(_Block(below + above, above) for above, below in reversed([*pairwise(sizes)]))
        self.last = zeroed(nn.Conv2d(width, shape[0] * patch**2, 3, padding=1))

    def forward(
        self,
        x: Float[Tensor, "B channels height width"],
        y: Int[Tensor, " B"],
        target: Int[Tensor, " B"],
        sigma: Float[Tensor, " B"] | None = None,
    ) -> Float[Tensor, "B channels height width"]:
        """Δ̂x(x, target); σ is the noise level, where the network is told one."""
        around = [side for size in x.shape[:1:-1] for side in margins(size, self.patch * 2 ** len(self.up))]
        told = F.silu(self._told(y, target, sigma))
        found = self.first(F.pixel_unshuffle(F.pad(x, around, mode="replicate"), self.patch))
        features: list[Tensor] = []
        for block in self.down:
            found = block(F.avg_pool2d(found, 2) if features else found, told)
            features.append(found)
        found = features.pop()
        for block in self.up:
            found = block(torch.cat([F.interpolate(found, scale_factor=2), features.pop()], dim=1), told)
        return F.pad(F.pixel_shuffle(self.last(found), self.patch), [-side for side in around])

    def _told(self, y: Tensor, target: Tensor, sigma: Tensor | None) -> Tensor:
        classes: Tensor = self.own(y) + self.asked(target)
        if (self.noise is None) != (sigma is None):
            demand = "left out, since `noise` is not set" if self.noise is None else "given, since `noise` is set"
            raise ValueError(f"`sigma` should be {demand}. Found {sigma if sigma is None else tuple(sigma.shape)}.")
        if self.noise is None or sigma is None:
            return classes
        angles = sigma.log()[:, None] * torch.arange(1, WAVES + 1, device=sigma.device) / 2
        noise: Tensor = self.noise(torch.cat([angles.sin(), angles.cos()], dim=1))
        return classes + noise


def _told_noise() -> nn.Module:
    return nn.Sequential(nn.Linear(2 * WAVES, TOLD), nn.SiLU(), nn.Linear(TOLD, TOLD))


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

"""A conditional generator and its discriminator for images of up to 32 × 32, after BigGAN (arXiv:1809.11096)."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pad, relu
from torch.nn.utils.parametrizations import spectral_norm

from alignment.contracts import check_labels

SIDE = 32
"""What is drawn, and looked at, by both networks."""


class ConditionalGenerator(nn.Module):
    """Draw an image of a class from a latent vector, `(z, target) → image`.

    BigGAN's network for 32 × 32 without attention and without a shared embedding: the latent vector goes in at the
    bottom, 4 × 4, and three residual blocks double the side; every batch norm but the last has a scale and a shift of
    its own per class. All weights are spectrally normalised and start from N(0, 0.02). Images of another size up to
    32 × 32 are the centre of what is drawn.

    Args:
        shape: of one image, `(channels, height, width)`; height and width at most 32.
        num_classes: C.
        bounds: lowest and highest value of an image.
        latent_size: length of z.
        width: channels of every layer; 256 in the paper of CIFAR-10's BigGAN.
        encoder: channels of the first layer of an encoder, see `encode`; 0 for no encoder.

    Raises:
        ValueError: for a shape that is no image of up to 32 × 32, or infinite bounds.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int,
        bounds: tuple[float, float] = (-1.0, 1.0),
        *,
        latent_size: int = 128,
        width: int = 256,
        encoder: int = 0,
    ) -> None:
        super().__init__()
        _check_shape(shape)
        if not all(math.isfinite(bound) for bound in bounds):
            raise ValueError(f"`bounds` should be finite. Found {tuple(bounds)}.")
        self.shape = tuple(shape)
        self.num_classes = num_classes
        self.bounds = tuple(bounds)
        self.latent_size = latent_size
        self.bottom = _linear(latent_size, width * 16)
        self.blocks = nn.ModuleList(GeneratorBlock(width, num_classes) for _ in range(3))
        self.norm = nn.BatchNorm2d(width)
        self.top = _conv(width, self.shape[0])
        self.encoder = ConditionalEncoder(shape, num_classes, latent_size, width=encoder) if encoder else None
        self.to(memory_format=torch.channels_last)  # nearly twice as fast on a CPU

    def forward(self, z: Float[Tensor, "B latent"], target: Int[Tensor, " B"]) -> Float[Tensor, "B *shape"]:
        """Images of the classes `target`, within bounds.

        Raises:
            ValueError: for a latent vector of another length, or a class that the generator never saw.
        """
        if z.shape[1] != self.latent_size:
            raise ValueError(f"`z` should hold vectors of {self.latent_size} numbers. Found {z.shape[1]}.")
        check_labels(target, len(z), self.num_classes, "target")
        hidden = self.bottom(z).reshape(len(z), -1, 4, 4)
        for block in self.blocks:
            hidden = block(hidden, target)
        low, high = self.bounds
        image = low + (high - low) * (self.top(relu(self.norm(hidden))).tanh() + 1) / 2
        return _centre(image, self.shape[1:])


class ConditionalDiscriminator(nn.Module):
    """Tell classes, and drawn from real: residual, spectrally normalised, one logit per class and one for "drawn".

    Four residual blocks, two of which halve the side; the sum over positions goes to C + 1 logits. The last of them
    is "drawn", as `generators.conditional.multi_hinge` expects.

    Args:
        shape: of one image, `(channels, height, width)`; height and width at most 32.
        num_classes: C.
        width: channels of every layer.

    Raises:
        ValueError: for a shape that is no image of up to 32 × 32.
    """

    def __init__(self, shape: Sequence[int], num_classes: int, *, width: int = 256) -> None:
        super().__init__()
        _check_shape(shape)
        self.shape = tuple(shape)
        self.blocks = _downward(self.shape[0], width)
        self.top = _linear(width, num_classes + 1)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Float[Tensor, "B *shape"]) -> Float[Tensor, "B logits"]:
        """C + 1 logits."""
        return self.top(relu(self.blocks(_padded(x))).sum(dim=(2, 3)))


class ConditionalEncoder(nn.Module):
    """Guess the latent vector that an image is drawn from, `(x, class) → z`, by blocks like a discriminator's.

    Args:
        shape: of one image, `(channels, height, width)`; height and width at most 32.
        num_classes: C.
        latent_size: length of z.
        width: channels of every layer.
    """

    def __init__(self, shape: Sequence[int], num_classes: int, latent_size: int, *, width: int) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.num_classes = num_classes
        self.blocks = _downward(self.shape[0], width)
        self.by_class = nn.Embedding(num_classes, 64 * width)
        self.top = nn.Linear(64 * width, latent_size)
        nn.init.normal_(self.by_class.weight, 0, 0.02)

    def forward(self, x: Float[Tensor, "B *shape"], target: Int[Tensor, " B"]) -> Float[Tensor, "B latent"]:
        """Latent vectors."""
        hidden = self.blocks(_padded(x)).flatten(1) + self.by_class(target)
        return self.top(relu(hidden))


class GeneratorBlock(nn.Module):
    """Twice conditional batch norm, ReLU, convolution; the side doubles before the first convolution."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(ConditionalBatchNorm(width, num_classes) for _ in range(2))
        self.convs = nn.ModuleList(_conv(width, width) for _ in range(2))
        self.skip = _conv(width, width, kernel=1)

    def forward(self, hidden: Tensor, target: Tensor) -> Tensor:
        """Features of twice the side."""
        branch = self.convs[0](_doubled(relu(self.norms[0](hidden, target))))
        # A 1 × 1 convolution and doubling commute, and this order costs a quarter.
        return self.convs[1](relu(self.norms[1](branch, target))) + _doubled(self.skip(hidden))


class ConditionalBatchNorm(nn.Module):
    """Batch norm with a scale and a shift per class."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width, affine=False)
        self.scale = nn.Embedding(num_classes, width)
        self.shift = nn.Embedding(num_classes, width)
        nn.init.normal_(self.scale.weight, 0, 0.02)
        nn.init.normal_(self.shift.weight, 0, 0.02)

    def forward(self, hidden: Tensor, target: Tensor) -> Tensor:
        """Features of the same shape."""
        scale, shift = self.scale(target)[..., None, None], self.shift(target)[..., None, None]
        return self.norm(hidden) * (1 + scale) + shift


class DiscriminatorBlock(nn.Module):
    """Twice ReLU and convolution beside a skip; the side halves at the end if asked to."""

    def __init__(self, channels: int, width: int, *, first: bool, halve: bool) -> None:
        super().__init__()
        self.first = first
        self.halve = halve
        self.convs = nn.ModuleList([_conv(channels, width), _conv(width, width)])
        self.skip = _conv(channels, width, kernel=1) if channels != width or halve else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Features, `width` channels."""
        branch = self.convs[0](x if self.first else relu(x))
        branch = self.convs[1](relu(branch))
        if self.halve:
            branch, x = avg_pool2d(branch, 2), avg_pool2d(x, 2)
        return branch + self.skip(x)


def _downward(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        DiscriminatorBlock(channels, width, first=True, halve=True),
        DiscriminatorBlock(width, width, first=False, halve=True),
        DiscriminatorBlock(width, width, first=False, halve=False),
        DiscriminatorBlock(width, width, first=False, halve=False),
    )


def _conv(channels: int, width: int, *, kernel: int = 3) -> nn.Module:
    return _normalised(nn.Conv2d(channels, width, kernel, padding=kernel // 2))


def _linear(inputs: int, outputs: int) -> nn.Module:
    return _normalised(nn.Linear(inputs, outputs))


def _normalised(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    nn.init.normal_(layer.weight, 0, 0.02)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return spectral_norm(layer)


def _doubled(hidden: Tensor) -> Tensor:
    return interpolate(hidden, scale_factor=2, mode="nearest")


def _check_shape(shape: Sequence[int]) -> None:
    if len(shape) != 3 or max(shape[1:]) > SIDE:
        raise ValueError(
            f"`shape` should be (channels, height, width) of at most {SIDE} × {SIDE}. Found {tuple(shape)}."
        )


def _margins(side: Sequence[int]) -> tuple[int, int]:
    return (SIDE - side[0]) // 2, (SIDE - side[1]) // 2


def _centre(image: Tensor, side: Sequence[int]) -> Tensor:
    top, left = _margins(side)
    return image[..., top : top + side[0], left : left + side[1]]


def _padded(x: Tensor) -> Tensor:
    height, width = x.shape[2:]
    top, left = _margins((height, width))
    return pad(x, (left, SIDE - width - left, top, SIDE - height - top), mode="replicate")

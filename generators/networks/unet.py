"""A U-Net that returns a residual: `(x, y, target) → Δ̂x`, Eq. 10 of paper 1."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_choice
from generators.networks.codes import Codes, Form, code_size, coded, options_of

Join = Literal["before", "after"]
Norm = Literal["torch", "paper"]
Last = Literal["zero", "norm"]

FORMS: Mapping[Form, Mapping[str, Any]] = {
    "ours": {
        "codes": "one_hot",
        "codes_join": "before",
        "narrowing": False,
        "align_corners": False,
        "norm": "torch",
        "last": "zero",
    },
    "paper": {
        "codes": "scalars",
        "codes_join": "after",
        "narrowing": True,
        "align_corners": True,
        "norm": "paper",
        "last": "norm",
    },
}
CHOICES = {"codes_join": get_args(Join), "norm": get_args(Norm), "last": get_args(Last)}


class UNet(nn.Module):
    """U-Net (Ronneberger et al. 2015) from an image to a residual; paper 1, section A.1.

    Every level is two convolutions of 3×3, each with batch normalisation and ReLU; down by 2×2 max-pool, up by
    bilinear interpolation. Codes of y and of the target join as constant channels at the bottleneck. Images
    whose sides 2^levels does not divide are padded with their border pixels, as evenly on both sides as can be, and
    the residual is cropped back.

    The form "paper" is that of the paper's program: 2,036,355 parameters with two levels and 34,503,171 with four,
    for images of one channel. That its three codes are y, the target and their difference is taken.

    Args:
        shape: of one image, (channels, height, width).
        num_classes: C.
        bounds: lowest and highest legal value of an image; not used.
        width: channels of the first level; every level below has twice as many.
        levels: how often the image is halved; paper 1 takes 4 for Squares and 2 for MNIST-3/5.
        form: "ours", or "paper" for the paper's, whose options follow; each can be chosen alone.
        codes: of the classes, "one_hot" or three "scalars"; None as in the form, like all that follow.
        codes_join: "before" the convolutions of the bottleneck, or "after" them.
        narrowing: a convolution that halves the channels after each step up, before those from above join.
        align_corners: of the interpolation.
        norm: batch normalisation as torch has it, or as the "paper": momentum 0.01, weights from N(0.1, 0.01²).
        last: "zero", a convolution of 1×1 that starts at zero, so that training starts at Δ̂x = 0; or "norm", where
            the second convolution of the last block returns the residual, through batch normalisation.

    Raises:
        ValueError: if `shape` is not that of an image, `width` or `levels` is below 1, or there is no such form or
            option.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int,
        bounds: tuple[float, float],
        *,
        width: int = 64,
        levels: int = 4,
        form: Form = "ours",
        codes: Codes | None = None,
        codes_join: Join | None = None,
        narrowing: bool | None = None,
        align_corners: bool | None = None,
        norm: Norm | None = None,
        last: Last | None = None,
    ) -> None:
        super().__init__()
        check_sizes(shape, width, levels)
        chosen = {"codes_join": codes_join, "align_corners": align_corners, "norm": norm, "last": last}
        made = options_of(FORMS, form, codes=codes, narrowing=narrowing, **chosen)
        for name, known in CHOICES.items():
            check_choice(made[name], known, name)
        self.shape, self.num_classes = tuple(shape), num_classes
        self.codes, self.codes_join, self.align_corners = made["codes"], made["codes_join"], made["align_corners"]
        told = code_size(self.codes, num_classes)
        convolved = _Convolved(bias=form == "paper", norm=made["norm"])
        sizes = [width * 2**level for level in range(levels + 1)]
        entering, leaving = [*sizes[:-2], sizes[-2] + told * (self.codes_join == "before")], [*sizes[1:]]
        leaving[-1] += told * (self.codes_join == "after")
        self.first = _block(convolved, shape[0], width)
        self.down = nn.ModuleList(map(partial(_block, convolved), entering, sizes[1:]))
        self.narrow, self.up = nn.ModuleList(), nn.ModuleList()
        for above, below in reversed([*zip(sizes, leaving, strict=False)]):
            self.narrow.append(nn.Sequential(*convolved(below, above)) if made["narrowing"] else nn.Identity())
            both = 2 * above if made["narrowing"] else above + below
            ends = made["last"] == "norm" and above == width
            self.up.append(_block(convolved, both, above, shape[0] if ends else None))
        self.last = nn.Identity() if made["last"] == "norm" else zeroed(nn.Conv2d(width, shape[0], 1))

    def forward(
        self, x: Float[Tensor, "B channels height width"], y: Int[Tensor, " B"], target: Int[Tensor, " B"]
    ) -> Float[Tensor, "B channels height width"]:
        """Δ̂x(x, target)."""
        around = [side for size in x.shape[:1:-1] for side in margins(size, 2 ** len(self.down))]
        codes = coded(y, target, self.codes, self.num_classes, x)[:, :, None, None]
        features = [self.first(F.pad(x, around, mode="replicate"))]
        for level, block in enumerate(self.down, start=1):
            below = F.max_pool2d(features[-1], 2)
            if level == len(self.down) and self.codes_join == "before":
                below = _with_channels(below, codes)
            features.append(block(below))
        found = features.pop()
        if self.codes_join == "after":
            found = _with_channels(found, codes)
        for narrow, block in zip(self.narrow, self.up, strict=True):
            above = F.interpolate(found, scale_factor=2, mode="bilinear", align_corners=self.align_corners)
            found = block(torch.cat([narrow(above), features.pop()], dim=1))
        return F.pad(self.last(found), [-side for side in around])


class _Convolved:
    """Makes convolution, batch normalisation (which has a bias, so that the convolution needs none) and ReLU."""

    def __init__(self, bias: bool, norm: Norm) -> None:
        self.bias, self.norm = bias, norm

    def __call__(self, before: int, after: int) -> list[nn.Module]:
        normalised = nn.BatchNorm2d(after, momentum=0.01 if self.norm == "paper" else 0.1)
        if self.norm == "paper":
            nn.init.normal_(normalised.weight, 0.1, 0.01)
        return [nn.Conv2d(before, after, 3, padding=1, bias=self.bias), normalised, nn.ReLU()]


def _block(convolved: _Convolved, before: int, after: int, returned: int | None = None) -> nn.Sequential:
    """Twice convolved; where a number of channels is `returned` instead, it ends in batch normalisation."""
    if returned is None:
        return nn.Sequential(*convolved(before, after), *convolved(after, after))
    return nn.Sequential(*convolved(before, after), *convolved(after, returned)[:-1])


def check_sizes(shape: Sequence[int], width: int, levels: int) -> None:
    """Refuse what no U-Net can be made of."""
    if len(shape) != 3:
        raise ValueError(f"`shape` should be (channels, height, width). Found {tuple(shape)}.")
    for argument, value in (("width", width), ("levels", levels)):
        if value < 1:
            raise ValueError(f"`{argument}` should be at least 1. Found {value}.")


def zeroed(layer: nn.Conv2d) -> nn.Module:
    """A layer that returns zero, as yet."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _with_channels(features: Tensor, codes: Tensor) -> Tensor:
    return torch.cat([features, codes.expand(-1, -1, *features.shape[2:])], dim=1)


def margins(size: int, step: int) -> tuple[int, int]:
    """What to add before and after, so that `step` divides the size."""
    missing = -size % step
    return missing // 2, missing - missing // 2

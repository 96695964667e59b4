"""Residual networks with pre-activation for small images: PreAct-ResNet-18 and wide residual networks."""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class PreActBlock(nn.Module):
    """Batch norm, ReLU and convolution, twice, beside a shortcut (He et al. 2016, arXiv:1603.05027, Fig. 4e).

    Where the size changes, the shortcut is a 1×1 convolution of the activated input; elsewhere it is the input.

    Args:
        before: channels of the input.
        after: channels of the output.
        stride: of the first convolution.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        same = before == after and stride == 1
        self.shortcut = None if same else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Float[Tensor, "B before height width"]) -> Float[Tensor, "B after height2 width2"]:
        """The sum of both branches."""
        active = F.relu(self.norm1(x))
        shortcut = x if self.shortcut is None else self.shortcut(active)
        return shortcut + self.conv2(F.relu(self.norm2(self.conv1(active))))


class PreActResNet(nn.Sequential):
    """3×3 stem, stages of `PreActBlock`s that halve the size from the second on, batch norm, ReLU, mean, linear.

    Convolutions start Kaiming normal by fan-out.

    Args:
        shape: of one image, (channels, height, width).
        outputs: number of logits.
        stem: channels after the first convolution.
        widths: channels of the stages.
        blocks: per stage.

    Raises:
        ValueError: if `shape` is not that of an image.
    """

    def __init__(self, shape: Sequence[int], outputs: int, stem: int, widths: Sequence[int], blocks: int) -> None:
        if len(shape) != 3:
            raise ValueError(f"`shape` should be (channels, height, width). Found {tuple(shape)}.")
        super().__init__()
        self.stem = nn.Conv2d(shape[0], stem, 3, padding=1, bias=False)
        before = stem
        for number, width in enumerate(widths, start=1):
            strides = [1 if number == 1 else 2] + [1] * (blocks - 1)
            stage = nn.Sequential()
            for stride in strides:
                stage.append(PreActBlock(before, width, stride))
                before = width
            self.add_module(f"stage{number}", stage)
        self.norm, self.relu = nn.BatchNorm2d(before), nn.ReLU()
        self.pool, self.flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        self.head = nn.Linear(before, outputs)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")


def preact_resnet18(shape: Sequence[int], outputs: int, width: int = 64) -> PreActResNet:
    """PreAct-ResNet-18 for small images: four stages of two blocks (paper 2, section 4.1).

    11,172,170 parameters with three channels and ten outputs, the final batch norm and ReLU of He et al. included;
    published programs that leave these out have 11,171,146.

    Args:
        shape: of one image, (channels, height, width).
        outputs: number of logits.
        width: channels of the first stage; the others have 2, 4 and 8 times as many.
    """
    return PreActResNet(shape, outputs, stem=width, widths=[width * factor for factor in (1, 2, 4, 8)], blocks=2)


def wide_resnet(shape: Sequence[int], outputs: int, depth: int = 28, widen: int = 10) -> PreActResNet:
    """WideResNet-`depth`-`widen` without dropout (Zagoruyko and Komodakis 2016, arXiv:1605.07146).

    Args:
        shape: of one image, (channels, height, width).
        outputs: number of logits.
        depth: 6 n + 4 for n blocks per stage.
        widen: the stages have 16, 32 and 64 times as many channels.

    Raises:
        ValueError: for a depth that leaves no whole number of blocks.
    """
    blocks, rest = divmod(depth - 4, 6)
    if blocks < 1 or rest:
        raise ValueError(f"`depth` should be 6 n + 4, such as 28 or 34. Found {depth}.")
    return PreActResNet(shape, outputs, stem=16, widths=[16 * widen, 32 * widen, 64 * widen], blocks=blocks)


def wide_resnet28_10(shape: Sequence[int], outputs: int) -> PreActResNet:
    """WideResNet-28-10: 36.5 million parameters with ten outputs (paper 3, section 4)."""
    return wide_resnet(shape, outputs, depth=28, widen=10)


def wide_resnet34_10(shape: Sequence[int], outputs: int) -> PreActResNet:
    """WideResNet-34-10: 46.2 million parameters with ten outputs (paper 2, section 4.1)."""
    return wide_resnet(shape, outputs, depth=34, widen=10)

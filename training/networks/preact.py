"""Residual networks with pre-activation for small images: PreAct-ResNet-18 and wide residual networks.

Public programs differ in details that their weights do not show; each is an argument here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from alignment.contracts import check_choice

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "swish": nn.SiLU,
}
ShortcutInput = Literal["activated", "plain"]


def activation_of(given: str | Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """What makes an activation.

    Args:
        given: one of `ACTIVATIONS`, or a class or function of yours without arguments.

    Raises:
        ValueError: for another name.
    """
    if callable(given):
        return given
    if given not in ACTIVATIONS:
        raise ValueError(
            f"`activation` should be one of {', '.join(ACTIVATIONS)}, or a class such as torch.nn.SiLU. "
            f"Found {given!r}."
        )
    return ACTIVATIONS[given]


@dataclass(frozen=True)
class BlockForm:
    """What distinguishes the blocks of public programs.

    Attributes:
        activation: makes the activation before each convolution.
        shortcut: what a convolution on the shortcut sees: "activated", the input behind batch norm and activation, or
            "plain", the input of the block.
        shortcut_size: width of the shortcut's kernel.
        same_padding: pad convolutions with stride 2 below and to the right alone, as TensorFlow and JAX do; else all
            around.
        biases: of the convolutions.
        stride_last: in the second convolution, not in the first.
    """

    activation: Callable[[], nn.Module] = field(default=nn.ReLU)
    shortcut: ShortcutInput = "activated"
    shortcut_size: int = 1
    same_padding: bool = False
    biases: bool = False
    stride_last: bool = False

    def __post_init__(self) -> None:
        check_choice(self.shortcut, get_args(ShortcutInput), "shortcut")

    def convolution(self, before: int, after: int, size: int, stride: int) -> nn.Conv2d:
        """A convolution that keeps the size of the image, divided by the stride."""
        if self.same_padding and stride == 2 and size == 3:
            return PaddedAtTheEnd(before, after, size, stride, bias=self.biases)
        return nn.Conv2d(before, after, size, stride, padding=size // 2, bias=self.biases)


class PaddedAtTheEnd(nn.Conv2d):
    """A convolution that sees one more row below and one more column to the right, of zeros."""

    def forward(self, x: Float[Tensor, "B before height width"]) -> Float[Tensor, "B after height2 width2"]:
        """The convolution of the padded images."""
        return super().forward(F.pad(x, (0, 1, 0, 1)))


class PreActBlock(nn.Module):
    """Batch norm, activation and convolution, twice, beside a shortcut (He et al. 2016, arXiv:1603.05027, Fig. 4e).

    Where the size changes, the shortcut is a convolution; elsewhere it is the input.

    Args:
        before: channels of the input.
        after: channels of the output.
        stride: of the block.
        form: what public programs differ in.
    """

    def __init__(self, before: int, after: int, stride: int, form: BlockForm | None = None) -> None:
        super().__init__()
        form = form or BlockForm()
        first, second = (1, stride) if form.stride_last else (stride, 1)
        self.norm1 = nn.BatchNorm2d(before)
        self.conv1 = form.convolution(before, after, 3, first)
        self.norm2 = nn.BatchNorm2d(after)
        self.conv2 = form.convolution(after, after, 3, second)
        same = before == after and stride == 1
        self.shortcut = None if same else form.convolution(before, after, form.shortcut_size, stride)
        self.activation, self.shortcut_is_activated = form.activation(), form.shortcut == "activated"

    def forward(self, x: Float[Tensor, "B before height width"]) -> Float[Tensor, "B after height2 width2"]:
        """The sum of both branches."""
        active = self.activation(self.norm1(x))
        shortcut = x if self.shortcut is None else self.shortcut(active if self.shortcut_is_activated else x)
        return shortcut + self.conv2(self.activation(self.norm2(self.conv1(active))))


class PreActResNet(nn.Sequential):
    """3×3 stem, stages of `PreActBlock`s that halve the size from the second on, batch norm, ReLU, mean, linear.

    Convolutions start Kaiming normal by fan-out.

    Args:
        shape: of one image, (channels, height, width).
        outputs: number of logits.
        stem: channels after the first convolution.
        widths: channels of the stages.
        blocks: per stage.
        form: of the blocks.
        final_norm: batch norm and activation behind the last stage.

    Raises:
        ValueError: if `shape` is not that of an image.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        stem: int,
        widths: Sequence[int],
        blocks: int,
        form: BlockForm | None = None,
        final_norm: bool = True,
    ) -> None:
        if len(shape) != 3:
            raise ValueError(f"`shape` should be (channels, height, width). Found {tuple(shape)}.")
        super().__init__()
        form = form or BlockForm()
        self.stem = nn.Conv2d(shape[0], stem, 3, padding=1, bias=form.biases)
        before = stem
        for number, width in enumerate(widths, start=1):
            strides = [1 if number == 1 else 2] + [1] * (blocks - 1)
            stage = nn.Sequential()
            for stride in strides:
                stage.append(PreActBlock(before, width, stride, form))
                before = width
            self.add_module(f"stage{number}", stage)
        if final_norm:
            self.norm, self.relu = nn.BatchNorm2d(before), form.activation()
        self.pool, self.flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        self.head = nn.Linear(before, outputs)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")


def preact_resnet18(
    shape: Sequence[int],
    outputs: int,
    width: int = 64,
    final_norm: bool = True,
    shortcut: ShortcutInput | None = None,
    activation: str | Callable[[], nn.Module] = "relu",
) -> PreActResNet:
    """PreAct-ResNet-18 for small images: four stages of two blocks (paper 2, section 4.1).

    11,172,170 parameters with three channels and ten outputs, the final batch norm and ReLU of He et al. included, as
    in the program of Rice et al. 2020 (arXiv:2002.11569); programs that leave these out have 11,171,146. Those are of
    two kinds, which their weights do not show: in that of Wong et al. 2020 (arXiv:2001.03994) and Andriushchenko and
    Flammarion 2020 the shortcuts see the plain input, in pytorch-cifar the activated one.

    Args:
        shape: of one image, (channels, height, width).
        outputs: number of logits.
        width: channels of the first stage; the others have 2, 4 and 8 times as many.
        final_norm: batch norm and activation behind the last stage.
        shortcut: what convolutions on shortcuts see, "activated" or "plain"; to be given without `final_norm`, and
            "activated" where it is not given.
        activation: "relu", "swish" or another of `ACTIVATIONS`, or a class such as torch.nn.SiLU.

    Raises:
        ValueError: if `shortcut` is not given without `final_norm`, or for another choice.
    """
    if shortcut is None and not final_norm:
        raise ValueError(
            '`shortcut` should be given without `final_norm`: "activated" for weights of pytorch-cifar, "plain" for '
            "those of Wong et al. 2020 or Andriushchenko and Flammarion 2020. Both have the same names, so nothing "
            "else tells them apart. Found None."
        )
    form = BlockForm(activation_of(activation), shortcut or "activated")
    widths = [width * factor for factor in (1, 2, 4, 8)]
    return PreActResNet(shape, outputs, stem=width, widths=widths, blocks=2, form=form, final_norm=final_norm)


def wide_resnet(
    shape: Sequence[int],
    outputs: int,
    depth: int = 28,
    widen: int = 10,
    activation: str | Callable[[], nn.Module] = "relu",
) -> PreActResNet:
    """WideResNet-`depth`-`widen` without dropout (Zagoruyko and Komodakis 2016, arXiv:1605.07146).

    It takes the weights of the program of TRADES (Zhang et al. 2019, arXiv:1901.08573) and of those after it.

    Args:
        shape: of one image, (channels, height, width).
        outputs: number of logits.
        depth: 6 n + 4 for n blocks per stage.
        widen: the stages have 16, 32 and 64 times as many channels.
        activation: "relu", "swish" or another of `ACTIVATIONS`, or a class such as torch.nn.SiLU.

    Raises:
        ValueError: for a depth that leaves no whole number of blocks.
    """
    return wide_of(shape, outputs, depth, widen, BlockForm(activation_of(activation)))


def wide_resnet28_10(shape: Sequence[int], outputs: int) -> PreActResNet:
    """WideResNet-28-10: 36.5 million parameters with ten outputs (paper 3, section 4)."""
    return wide_resnet(shape, outputs, depth=28, widen=10)


def wide_resnet34_10(shape: Sequence[int], outputs: int) -> PreActResNet:
    """WideResNet-34-10: 46.2 million parameters with ten outputs (paper 2, section 4.1)."""
    return wide_resnet(shape, outputs, depth=34, widen=10)


def wide_resnet_with_biases(shape: Sequence[int], outputs: int, depth: int = 28, widen: int = 10) -> PreActResNet:
    """WideResNet as in wide-resnet.pytorch, on which the energy-based JEM builds, for weights of such programs.

    Convolutions have biases, a block's stride lies in its second convolution, and shortcuts see the plain input.

    Args:
        shape: of one image, (channels, height, width).
        outputs: number of logits.
        depth: 6 n + 4 for n blocks per stage.
        widen: the stages have 16, 32 and 64 times as many channels.
    """
    form = BlockForm(shortcut="plain", biases=True, stride_last=True)
    return wide_of(shape, outputs, depth, widen, form)


def wide_of(shape: Sequence[int], outputs: int, depth: int, widen: int, form: BlockForm) -> PreActResNet:
    """A WideResNet with blocks of a form.

    Raises:
        ValueError: for a depth that leaves no whole number of blocks.
    """
    blocks, rest = divmod(depth - 4, 6)
    if blocks < 1 or rest:
        raise ValueError(f"`depth` should be 6 n + 4, such as 28 or 34. Found {depth}.")
    widths = [16 * widen, 32 * widen, 64 * widen]
    return PreActResNet(shape, outputs, stem=16, widths=widths, blocks=blocks, form=form)

"""The networks of public programs once more, in the plainest words: each as a function of its state dict alone.

They know nothing of ours. A weight that a program has and does not use is made and left out; all numbers are random,
running statistics included, so that no mistake is hidden by zeros or ones.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = dict[str, Tensor]


def norm(weights: Weights, name: str, x: Tensor) -> Tensor:
    mean, var = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
    scale = weights[f"{name}.weight"] / (var + 1e-5).sqrt()
    return x * scale[:, None, None] + (weights[f"{name}.bias"] - mean * scale)[:, None, None]


def conv(weights: Weights, name: str, x: Tensor, stride: int = 1, padding: int | None = None) -> Tensor:
    weight = weights[f"{name}.weight"]
    around = weight.shape[-1] // 2 if padding is None else padding
    return F.conv2d(x, weight, weights.get(f"{name}.bias"), stride, around)


def linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def pooled(x: Tensor) -> Tensor:
    return x.mean(dim=(2, 3))


class Maker:
    """Makes random weights under the names that it is told."""

    def __init__(self) -> None:
        self.weights: Weights = {}

    def conv(self, name: str, before: int, after: int, size: int = 3, bias: bool = False) -> None:
        self.weights[f"{name}.weight"] = torch.randn(after, before, size, size) / (3 * before**0.5)
        if bias:
            self.weights[f"{name}.bias"] = torch.randn(after) / 3

    def norm(self, name: str, width: int) -> None:
        self.weights[f"{name}.weight"] = torch.rand(width) + 0.5
        self.weights[f"{name}.bias"] = torch.randn(width) / 3
        self.weights[f"{name}.running_mean"] = torch.randn(width) / 3
        self.weights[f"{name}.running_var"] = torch.rand(width) + 0.5
        self.weights[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def linear(self, name: str, before: int, after: int) -> None:
        self.weights[f"{name}.weight"] = torch.randn(after, before) / before**0.5
        self.weights[f"{name}.bias"] = torch.randn(after) / 3


def stages(widths: list[int], blocks: int, stem: int) -> list[tuple[int, int, int, int, int]]:
    """Stage, block, channels before and after, stride."""
    found, before = [], stem
    for stage, width in enumerate(widths):
        for block in range(blocks):
            found.append((stage, block, before, width, 2 if stage > 0 and block == 0 else 1))
            before = width
    return found


def cifar_resnet_weights(widths: list[int], blocks: int, classes: int) -> Weights:
    """ResNet of pytorch-cifar."""
    make = Maker()
    make.conv("conv1", 3, widths[0])
    make.norm("bn1", widths[0])
    for stage, block, before, after, stride in stages(widths, blocks, widths[0]):
        here = f"layer{stage + 1}.{block}"
        make.conv(f"{here}.conv1", before, after)
        make.norm(f"{here}.bn1", after)
        make.conv(f"{here}.conv2", after, after)
        make.norm(f"{here}.bn2", after)
        if stride != 1 or before != after:
            make.conv(f"{here}.shortcut.0", before, after, 1)
            make.norm(f"{here}.shortcut.1", after)
    make.linear("linear", widths[-1], classes)
    return make.weights


def cifar_resnet(weights: Weights, x: Tensor, widths: list[int], blocks: int) -> Tensor:
    h = norm(weights, "bn1", conv(weights, "conv1", x)).relu()
    for stage, block, before, after, stride in stages(widths, blocks, widths[0]):
        here = f"layer{stage + 1}.{block}"
        inner = norm(weights, f"{here}.bn1", conv(weights, f"{here}.conv1", h, stride)).relu()
        inner = norm(weights, f"{here}.bn2", conv(weights, f"{here}.conv2", inner))
        if stride != 1 or before != after:
            h = norm(weights, f"{here}.shortcut.1", conv(weights, f"{here}.shortcut.0", h, stride))
        h = (inner + h).relu()
    return linear(weights, "linear", pooled(h))


def cifar_preact_weights(widths: list[int], blocks: int, classes: int, final_norm: bool) -> Weights:
    """PreActResNet of pytorch-cifar; with `bn` that of Rice et al."""
    make = Maker()
    make.conv("conv1", 3, widths[0])
    for stage, block, before, after, stride in stages(widths, blocks, widths[0]):
        here = f"layer{stage + 1}.{block}"
        make.norm(f"{here}.bn1", before)
        make.conv(f"{here}.conv1", before, after)
        make.norm(f"{here}.bn2", after)
        make.conv(f"{here}.conv2", after, after)
        if stride != 1 or before != after:
            make.conv(f"{here}.shortcut.0", before, after, 1)
    if final_norm:
        make.norm("bn", widths[-1])
    make.linear("linear", widths[-1], classes)
    return make.weights


def cifar_preact(weights: Weights, x: Tensor, widths: list[int], blocks: int, plain: bool) -> Tensor:
    """With `plain` shortcuts, that of Wong et al."""
    h = conv(weights, "conv1", x)
    for stage, block, before, after, stride in stages(widths, blocks, widths[0]):
        here = f"layer{stage + 1}.{block}"
        active = norm(weights, f"{here}.bn1", h).relu()
        inner = norm(weights, f"{here}.bn2", conv(weights, f"{here}.conv1", active, stride)).relu()
        inner = conv(weights, f"{here}.conv2", inner)
        if stride != 1 or before != after:
            h = conv(weights, f"{here}.shortcut.0", h if plain else active, stride)
        h = inner + h
    if "bn.weight" in weights:
        h = norm(weights, "bn", h).relu()
    return linear(weights, "linear", pooled(h))


def trades_weights(widths: list[int], blocks: int, classes: int, sub_block: bool = False) -> Weights:
    """WideResNet of TRADES."""
    make = Maker()
    make.conv("conv1", 3, 16)
    for stage, block, before, after, _ in stages(widths, blocks, 16):
        for start in [f"block{stage + 1}", *(["sub_block1"] if sub_block and stage == 0 else [])]:
            here = f"{start}.layer.{block}"
            make.norm(f"{here}.bn1", before)
            make.conv(f"{here}.conv1", before, after)
            make.norm(f"{here}.bn2", after)
            make.conv(f"{here}.conv2", after, after)
            if before != after:
                make.conv(f"{here}.convShortcut", before, after, 1)
    make.norm("bn1", widths[-1])
    make.linear("fc", widths[-1], classes)
    return make.weights


def trades(weights: Weights, x: Tensor, widths: list[int], blocks: int) -> Tensor:
    h = conv(weights, "conv1", x)
    for stage, block, before, after, stride in stages(widths, blocks, 16):
        here = f"block{stage + 1}.layer.{block}"
        active = norm(weights, f"{here}.bn1", h).relu()
        inner = norm(weights, f"{here}.bn2", conv(weights, f"{here}.conv1", active, stride)).relu()
        inner = conv(weights, f"{here}.conv2", inner)
        h = inner + (h if before == after else conv(weights, f"{here}.convShortcut", active, stride))
    return linear(weights, "fc", pooled(norm(weights, "bn1", h).relu()))


def biased_weights(widths: list[int], blocks: int, classes: int) -> Weights:
    """WideResNet of wide-resnet.pytorch."""
    make = Maker()
    make.conv("conv1", 3, 16, bias=True)
    for stage, block, before, after, stride in stages(widths, blocks, 16):
        here = f"layer{stage + 1}.{block}"
        make.norm(f"{here}.bn1", before)
        make.conv(f"{here}.conv1", before, after, bias=True)
        make.norm(f"{here}.bn2", after)
        make.conv(f"{here}.conv2", after, after, bias=True)
        if stride != 1 or before != after:
            make.conv(f"{here}.shortcut.0", before, after, 1, bias=True)
    make.norm("bn1", widths[-1])
    make.linear("linear", widths[-1], classes)
    return make.weights


def biased(weights: Weights, x: Tensor, widths: list[int], blocks: int) -> Tensor:
    h = conv(weights, "conv1", x)
    for stage, block, before, after, stride in stages(widths, blocks, 16):
        here = f"layer{stage + 1}.{block}"
        inner = conv(weights, f"{here}.conv1", norm(weights, f"{here}.bn1", h).relu())
        inner = conv(weights, f"{here}.conv2", norm(weights, f"{here}.bn2", inner).relu(), stride)
        if stride != 1 or before != after:
            h = conv(weights, f"{here}.shortcut.0", h, stride)
        h = inner + h
    return linear(weights, "linear", pooled(norm(weights, "bn1", h).relu()))


def at_the_end(x: Tensor, stride: int) -> Tensor:
    """Zeros around an image, or below and to the right alone where the stride is 2."""
    return F.pad(x, (1, 1, 1, 1) if stride == 1 else (0, 1, 0, 1))


def swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def dm_wide_weights(widths: list[int], blocks: int, classes: int, channels: int = 3) -> Weights:
    """WideResNet of Gowal et al. 2020."""
    make = Maker()
    make.conv("init_conv", channels, 16)
    for stage, block, before, after, _ in stages(widths, blocks, 16):
        here = f"layer.{stage}.block.{block}"
        make.norm(f"{here}.batchnorm_0", before)
        make.conv(f"{here}.conv_0", before, after)
        make.norm(f"{here}.batchnorm_1", after)
        make.conv(f"{here}.conv_1", after, after)
        if before != after:
            make.conv(f"{here}.shortcut", before, after, 1)
    make.norm("batchnorm", widths[-1])
    make.linear("logits", widths[-1], classes)
    return make.weights


def dm_wide(
    weights: Weights, x: Tensor, widths: list[int], blocks: int, activation: Callable[[Tensor], Tensor]
) -> Tensor:
    h = conv(weights, "init_conv", x)
    for stage, block, before, after, stride in stages(widths, blocks, 16):
        here = f"layer.{stage}.block.{block}"
        active = activation(norm(weights, f"{here}.batchnorm_0", h))
        inner = conv(weights, f"{here}.conv_0", at_the_end(active, stride), stride, padding=0)
        inner = conv(weights, f"{here}.conv_1", activation(norm(weights, f"{here}.batchnorm_1", inner)))
        h = inner + (h if before == after else conv(weights, f"{here}.shortcut", active, stride))
    return linear(weights, "logits", pooled(activation(norm(weights, "batchnorm", h))))


def dm_preact_weights(widths: list[int], blocks: int, classes: int) -> Weights:
    """PreActResNet of Gowal et al. 2020."""
    make = Maker()
    make.conv("conv_2d", 3, widths[0])
    for stage, block, before, after, stride in stages(widths, blocks, widths[0]):
        here = f"layer_{stage}.{block}"
        make.norm(f"{here}.batchnorm_0", before)
        make.conv(f"{here}.conv_2d_1", before, after)
        make.norm(f"{here}.batchnorm_1", after)
        make.conv(f"{here}.conv_2d_2", after, after)
        if stride != 1 or before != after:
            make.conv(f"{here}.shortcut", before, after)
    make.norm("batchnorm", widths[-1])
    make.linear("logits", widths[-1], classes)
    return make.weights


def dm_preact(
    weights: Weights, x: Tensor, widths: list[int], blocks: int, activation: Callable[[Tensor], Tensor]
) -> Tensor:
    h = conv(weights, "conv_2d", x)
    for stage, block, before, after, stride in stages(widths, blocks, widths[0]):
        here = f"layer_{stage}.{block}"
        active = activation(norm(weights, f"{here}.batchnorm_0", h))
        inner = conv(weights, f"{here}.conv_2d_1", at_the_end(active, stride), stride, padding=0)
        inner = conv(weights, f"{here}.conv_2d_2", activation(norm(weights, f"{here}.batchnorm_1", inner)))
        if stride != 1 or before != after:
            h = conv(weights, f"{here}.shortcut", at_the_end(h, stride), stride, padding=0)
        h = inner + h
    return linear(weights, "logits", pooled(activation(norm(weights, "batchnorm", h))))

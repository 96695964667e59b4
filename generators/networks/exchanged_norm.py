"""Batch normalisation whose statistics are those of the samples of all processes that train together.

`torch.nn.SyncBatchNorm` is for GPUs alone, and cannot be differentiated twice, as gradient penalties are.
"""

from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
"""Those whose place it takes; of others nobody knows what they do with the statistics."""


class ExchangedBatchNorm(_BatchNorm):
    """Normalises a training batch with mean and variance over all processes, and evaluates as any batch norm.

    All processes should make the same passes in training mode. Names and shapes of its weights are those of the batch
    norm that it replaces.

    Attributes:
        counted: whether the samples of this process count; not where they only repeat others.
    """

    counted = True

    @classmethod
    def in_place_of(cls, norm: _BatchNorm) -> "ExchangedBatchNorm":
        """With the weights and statistics of another, the same objects."""
        made = cls(norm.num_features, norm.eps, norm.momentum, affine=False, track_running_stats=False)
        made.affine, made.weight, made.bias = norm.affine, norm.weight, norm.bias
        made.track_running_stats = norm.track_running_stats
        for name, buffer in norm.named_buffers():
            setattr(made, name, buffer)
        return made.train(norm.training)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions will do."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalised samples, `(B, features, *place)`."""
        if not self.training or not torch.distributed.is_initialized():
            return super().forward(x)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        over = [0, *range(2, x.ndim)]
        layout = (1, -1, *[1] * (x.ndim - 2))
        share = float(self.counted)
        count = _summed(wide.new_tensor([share * x.numel() / x.shape[1]]))
        mean = _summed(share * wide.sum(dim=over)) / count
        shifted = wide - mean.reshape(layout)
        variance = _summed(share * shifted.square().sum(dim=over)) / count
        self._follow(mean.detach(), variance.detach(), count)
        normalised = shifted * (variance + self.eps).rsqrt().reshape(layout)
        if self.affine:
            normalised = normalised * self.weight.reshape(layout) + self.bias.reshape(layout)
        return normalised.to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Move the running statistics, the variance without bias."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        unbiased = variance * count / (count - 1)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), momentum)


def exchange_batch_norm(module: nn.Module) -> None:
    """Let every batch norm of a module exchange its statistics, in place; not one that keeps none for evaluation."""
    for parent in [*module.modules()]:
        for name, part in parent.named_children():
            if type(part) in KINDS and part.track_running_stats:
                setattr(parent, name, ExchangedBatchNorm.in_place_of(part))  # type: ignore[arg-type]


def count_samples(module: nn.Module, counted: bool) -> None:
    """Say whether the samples of this process count in the statistics that a module exchanges."""
    for part in module.modules():
        if isinstance(part, ExchangedBatchNorm):
            part.counted = counted


class _Summed(torch.autograd.Function):
    """The sum over processes, which can be differentiated as often as one likes: what each adds reaches all."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        summed = value.clone()
        torch.distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        return _summed(upstream)


def _summed(value: Tensor) -> Tensor:
    """The sum over processes."""
    summed: Tensor = _Summed.apply(value)
    return summed

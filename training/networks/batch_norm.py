"""Batch normalisation that is on, frozen, or without running statistics."""

from typing import Any, Literal, get_args

import torch.nn.functional as F
from torch import nn

from alignment.contracts import check_choice

BatchNormMode = Literal["on", "frozen", "no_running_statistics"]


class FrozenBatchNorm(nn.BatchNorm2d):
    """Batch normalisation that stays in evaluation mode: its statistics never move, its scale and shift train."""

    def forward(self, x: Any) -> Any:
        """Normalise with the statistics as they are."""
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )


def set_batch_norm(network: nn.Module, mode: BatchNormMode) -> None:
    """Put every `BatchNorm2d` of a network into a mode, in place. Scale, shift and known statistics are kept.

    Args:
        network: a network that has at least one.
        mode: "on", batch statistics in training and running ones in evaluation; "frozen", running statistics in
            both, never updated (paper 1, section A.1); "no_running_statistics", batch statistics in both (paper 3,
            section 4). In the last mode **the logits of a sample depend on the other samples of its batch, in
            evaluation too**: radii and accuracies then hold for the batches they were measured with, an attack that
            leaves finished samples out of the batch changes the logits of the others, and a batch of one is
            normalised by its own pixels.

    Raises:
        ValueError: for an unknown mode, or a network without batch normalisation.
    """
    check_choice(mode, get_args(BatchNormMode), "batch_norm")
    norms = [
        (parent, name, part)
        for parent in network.modules()
        for name, part in parent.named_children()
        if isinstance(part, nn.BatchNorm2d)
    ]
    if not norms:
        raise ValueError(f"`batch_norm` should be left out for a network without BatchNorm2d. Found {mode!r}.")
    for parent, name, part in norms:
        setattr(parent, name, _in_mode(part, mode))


def _in_mode(norm: nn.BatchNorm2d, mode: BatchNormMode) -> nn.BatchNorm2d:
    kind = FrozenBatchNorm if mode == "frozen" else nn.BatchNorm2d
    norm_in_mode = kind(
        norm.num_features,
        norm.eps,
        norm.momentum,
        affine=False,
        track_running_stats=mode != "no_running_statistics",
    )
    norm_in_mode.affine, norm_in_mode.weight, norm_in_mode.bias = norm.affine, norm.weight, norm.bias
    if norm_in_mode.track_running_stats and norm.track_running_stats:
        norm_in_mode.running_mean, norm_in_mode.running_var = norm.running_mean, norm.running_var
        norm_in_mode.num_batches_tracked = norm.num_batches_tracked
    return norm_in_mode.train(norm.training)

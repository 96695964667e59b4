"""How many logits a network has, before it is trained for hours."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from alignment.gradients import evaluating, logits_of
from training.networks.ours import NETWORKS


def check_logits(network: nn.Module, described: Mapping[str, Any]) -> None:
    """Refuse a network that has not one logit per class, as one that was not told the number of classes.

    The loss would take more of them without a word, and nothing could be measured afterwards.

    Args:
        network: shown two grey inputs in evaluation mode, and left as it was found; one of ours is not shown any.
        described: its name `network`, and the `shape`, `num_classes` and `bounds` of the data.

    Raises:
        ValueError: if it returns no logits, or not one per class. What the network raises itself is raised on.
    """
    name, classes, bounds = described["network"], described["num_classes"], described["bounds"]
    if name in NETWORKS:
        return
    weight = next((weight for weight in network.parameters() if weight.is_floating_point()), torch.zeros(()))
    grey = sum(bounds) / 2 if all(map(math.isfinite, bounds)) else 0.0
    x = torch.full((2, *described["shape"]), grey, dtype=weight.dtype, device=weight.device)
    with torch.random.fork_rng(devices=[]), evaluating(network), torch.no_grad():
        found = logits_of(network, x).shape[1]
    if found != classes:
        raise ValueError(
            f"`network` should return one logit for each of the {classes} classes of the data. Found {found} from "
            f"{name!r}. Say the number of its outputs in `network_options`, or have it take `num_classes`."
        )

"""The networks that this package has by name."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from torch import nn

from training.networks.calls import call
from training.networks.deepmind import dm_preact_resnet18, dm_wide_resnet
from training.networks.imports import options_imported
from training.networks.preact import (
    preact_resnet18,
    wide_resnet,
    wide_resnet28_10,
    wide_resnet34_10,
    wide_resnet_with_biases,
)
from training.networks.resnet import resnet18, resnet18_cifar, resnet34_cifar, resnet50_cifar
from training.networks.small import MLP, SmallCNN, logistic_regression
from training.networks.transformers import swin_adapters, vit_adapters

NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    "dm_preact_resnet18": dm_preact_resnet18,
    "dm_wide_resnet": dm_wide_resnet,
    "logistic_regression": logistic_regression,
    "mlp": MLP,
    "preact_resnet18": preact_resnet18,
    "resnet18": resnet18,
    "resnet18_cifar": resnet18_cifar,
    "resnet34_cifar": resnet34_cifar,
    "resnet50_cifar": resnet50_cifar,
    "small_cnn": SmallCNN,
    "swin_adapters": swin_adapters,
    "vit_adapters": vit_adapters,
    "wide_resnet": wide_resnet,
    "wide_resnet28_10": wide_resnet28_10,
    "wide_resnet34_10": wide_resnet34_10,
    "wide_resnet_with_biases": wide_resnet_with_biases,
}
NEED_BOUNDS = ("dm_preact_resnet18", "dm_wide_resnet", "resnet18", "swin_adapters", "vit_adapters")
"""Those that normalise their inputs themselves, and so must know the bounds."""


def our_network(
    name: str,
    shape: Sequence[int],
    outputs: int,
    bounds: tuple[float, float],
    options: Mapping[str, Any],
    trusted: Collection[str] | None = None,
) -> nn.Module:
    """One of `NETWORKS`, with fresh weights.

    Args:
        name: in `NETWORKS`.
        shape: of one input.
        outputs: number of logits.
        bounds: of the data, for networks that normalise.
        options: what the network itself takes.
        trusted: see `options_imported`.

    Raises:
        ValueError: for options that the network does not take.
    """
    make = NETWORKS[name]
    given: dict[str, Any] = {"shape": tuple(shape), "outputs": outputs}
    if name in NEED_BOUNDS:
        given["bounds"] = bounds
    return call(make, name, given | options_imported(make, options, trusted))

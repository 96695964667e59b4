"""Networks by name, for configurations, checkpoints and the command line."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any

from torch import nn

from training.networks.adapters import OneLogit
from training.networks.batch_norm import BatchNormMode, set_batch_norm
from training.networks.preact import preact_resnet18, wide_resnet, wide_resnet28_10, wide_resnet34_10
from training.networks.resnet import resnet18, resnet18_cifar, resnet34_cifar
from training.networks.small import MLP, SmallCNN, logistic_regression
from training.networks.transformers import swin_adapters, vit_adapters

NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    "logistic_regression": logistic_regression,
    "mlp": MLP,
    "preact_resnet18": preact_resnet18,
    "resnet18": resnet18,
    "resnet18_cifar": resnet18_cifar,
    "resnet34_cifar": resnet34_cifar,
    "small_cnn": SmallCNN,
    "swin_adapters": swin_adapters,
    "vit_adapters": vit_adapters,
    "wide_resnet": wide_resnet,
    "wide_resnet28_10": wide_resnet28_10,
    "wide_resnet34_10": wide_resnet34_10,
}
NEED_BOUNDS = ("resnet18", "swin_adapters", "vit_adapters")


def build_network(
    name: str,
    *,
    shape: Sequence[int],
    num_classes: int,
    bounds: tuple[float, float] = (-1.0, 1.0),
    one_logit: bool = False,
    batch_norm: BatchNormMode | None = None,
    **options: Any,
) -> nn.Module:
    """A classifier by name, from `(B, *shape)` to logits `(B, num_classes)`.

    Args:
        name: one of ours, see `NETWORKS`, or the dotted path of a class or function of yours, such as
            `torchvision.models.resnet50` or `mypackage.models.Net`, which is imported and called with `options`, and
            with `num_classes` where it takes that, by name or among any others: a name typed by a user or in a user's
            configuration, which is code, and never one that a checkpoint holds.
        shape: of one input.
        num_classes: C ≥ 2.
        bounds: of the data, for networks that normalise.
        one_logit: a binary network with a single output, adapted to two logits.
        batch_norm: "on", "frozen" or "no_running_statistics", see `set_batch_norm`; None leaves it as the network
            has it. Without running statistics, logits depend on the batch in evaluation too.
        options: what the network itself takes.

    Raises:
        ValueError: for an unknown name, options the network does not take, one logit for several classes, or
            `batch_norm` for a network that has none.

    Example:
        >>> build_network("mlp", shape=(2,), num_classes=2, hidden=[3])
        MLP(
          (0): Flatten(start_dim=1, end_dim=-1)
          (1): Linear(in_features=2, out_features=3, bias=True)
          (2): ReLU()
          (3): Linear(in_features=3, out_features=2, bias=True)
        )
    """
    if num_classes < 2 or (one_logit and num_classes != 2):
        allowed = "2 with `one_logit`" if one_logit else "at least 2"
        raise ValueError(f"`num_classes` should be {allowed}. Found {num_classes}.")
    if "." in name:
        make = _imported(name)
        network = _call(make, name, _classes(make, 1 if one_logit else num_classes) | options)
    elif name in NETWORKS:
        ours = {"shape": tuple(shape), "outputs": 1 if one_logit else num_classes}
        if name in NEED_BOUNDS:
            ours["bounds"] = bounds
        if "outputs" in options:
            raise ValueError("`outputs` should be left out of the options: `num_classes` says it.")
        network = _call(NETWORKS[name], name, ours | options)
    else:
        raise ValueError(f"`network` should be one of {', '.join(NETWORKS)}, or a dotted path. Found {name!r}.")
    if batch_norm is not None:
        set_batch_norm(network, batch_norm)
    return OneLogit(network) if one_logit else network


def _call(make: Callable[..., nn.Module], name: str, options: dict[str, Any]) -> nn.Module:
    try:
        return make(**options)
    except TypeError as error:
        raise ValueError(f"The network {name!r} does not take these options: {error}.") from error
    except RuntimeError as error:
        if error.__cause__ is not None:  # not of torch, about sizes it cannot make or hold, but with words of its own
            raise
        raise ValueError(f"The network {name!r} cannot be built with {options}: {error}.") from error


def _classes(make: Callable[..., nn.Module], outputs: int) -> dict[str, int]:
    """The number of classes, for what takes it, as the networks of torchvision and timm do."""
    try:
        parameters = signature(make).parameters
    except (TypeError, ValueError):
        return {}
    takes = "num_classes" in parameters or any(part.kind is Parameter.VAR_KEYWORD for part in parameters.values())
    return {"num_classes": outputs} if takes else {}


def _imported(path: str) -> Callable[..., nn.Module]:
    module, _, attribute = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"The network {path!r} cannot be imported: {error}.") from error

"""Networks of torchvision by its names, such as resnet50, with its weights and what they were trained with."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from training.networks.calls import call
from training.networks.found import FoundNetwork, as_said, similar
from training.networks.imports import options_imported


def from_torchvision(
    name: str, outputs: int, pretrained: bool, options: Mapping[str, Any], trusted: Any = None
) -> FoundNetwork:
    """A classifier of torchvision.

    Args:
        name: as `torchvision.models.list_models` lists it.
        outputs: number of logits; with `pretrained`, the weights have their own.
        pretrained: with torchvision's weights: those that the option `weights` names, such as "IMAGENET1K_V1", or
            its default ones.
        options: what the network takes.
        trusted: see `options_imported`.

    Raises:
        ValueError: for a name it does not have, or options it does not take.
        RuntimeError: if the weights cannot be fetched, with the remedy.
    """
    from torchvision import models

    names = models.list_models(module=models)
    if name not in names:
        raise ValueError(
            f"`network` should name a classifier of torchvision, such as {similar(name, names)}. "
            f"Found 'torchvision:{name}'."
        )
    make = models.get_model_builder(name)
    options = options_imported(make, options, trusted)
    if not pretrained:
        return FoundNetwork(_fresh(name, make, outputs, options), outputs=outputs)
    weights = _weights(name, options.pop("weights", None))
    normalization = as_said(weights.transforms().mean, weights.transforms().std)
    network = _fetched(name, make, weights, options)
    return FoundNetwork(network, normalization, f"torchvision's {weights}", len(weights.meta["categories"]))


def _fresh(name: str, make: Any, outputs: int, options: dict[str, Any]) -> nn.Module:
    if options.get("weights") is not None:
        raise ValueError(
            f"`weights` of 'torchvision:{name}' should be left out without `pretrained`. "
            f"Found {options['weights']!r}."
        )
    return call(make, f"torchvision:{name}", options | {"weights": None, "num_classes": outputs})


def _weights(name: str, wanted: str | None) -> Any:
    """The set of weights of that name, or the default one."""
    from torchvision.models import get_model_weights

    known = get_model_weights(name)
    if wanted in (None, "DEFAULT"):
        return known.DEFAULT
    if wanted not in known.__members__:
        raise ValueError(
            f"`weights` of 'torchvision:{name}' should be one of {', '.join(known.__members__)}. Found {wanted!r}."
        )
    return known[wanted]


def _fetched(name: str, make: Any, weights: Any, options: dict[str, Any]) -> nn.Module:
    try:
        return call(make, f"torchvision:{name}", options | {"weights": weights, "progress": False})
    except OSError as error:
        file = weights.url.rpartition("/")[2]
        raise RuntimeError(
            f"torchvision could not fetch {weights} ({error}). Fetch {weights.url} on a machine with a network and "
            f"copy it to {file} in torch.hub.get_dir()/checkpoints."
        ) from error

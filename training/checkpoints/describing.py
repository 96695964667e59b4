"""What a checkpoint of ours says of its network, and the network that a description names."""

import json
from collections.abc import Collection, Mapping
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from generators.descriptions import check_description
from training.networks.build import build_network
from training.networks.libraries import FoundNetwork, find_network
from training.networks.ours import NEED_BOUNDS, NETWORKS

NETWORK_KEY = "alphadx_network"
"""Where a checkpoint of ours says which network it holds."""
FORMAT = 1
FETCHING = ("resnet18", "swin_adapters", "vit_adapters")
"""Networks that would fetch weights unless told not to."""
READING = (
    "cache_dir",
    "checkpoint_path",
    "pretrained",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "trusted_options",
)
"""Options that fetch, open other files or import, which no checkpoint may do."""


def description_of(content: Mapping[str, Any], path: Path) -> dict[str, Any] | None:
    """What a checkpoint of ours says of its network; None for another's.

    Raises:
        ValueError: if a later version wrote it, or it says anything but plain values.
    """
    if NETWORK_KEY not in content:
        return None
    found = check_description(content[NETWORK_KEY], path, FORMAT)
    opening = sorted(found["options"].keys() & {*READING})
    if opening:
        raise ValueError(f"{path}: the `options` it describes should open no other file. Found {', '.join(opening)}.")
    return found


def network_from(
    description: Mapping[str, Any],
    trusted_networks: Collection[str] = (),
    path: str | Path = "The checkpoint",
    trusted_options: Collection[str] = (),
) -> FoundNetwork:
    """The network that a description names, with fresh weights, and what is said of its inputs.

    Args:
        description: with `network`, `options`, `shape`, `num_classes` and `bounds`.
        trusted_networks: names of others than ours that may be imported.
        path: of the file, for messages.
        trusted_options: names of options that a user typed, in which dotted paths of classes are imported.

    Raises:
        ValueError: for a network that is neither one of ours nor trusted, or what it needs is missing.
    """
    name = description["network"]
    if name not in NETWORKS and name not in trusted_networks:
        raise ValueError(
            f"{path} names the network {name!r}, which is not one of ours, and nothing is imported because a file "
            f"says so. If it is yours, say so: network={name!r} (--network {name})."
        )
    check_complete(description)
    options = dict(description["options"])
    if name in FETCHING:
        options["weights"] = None  # they come from the checkpoint, so nothing needs to be fetched
    found = find_network(
        name,
        shape=tuple(description["shape"]),
        num_classes=description["num_classes"],
        bounds=tuple(description["bounds"] or (-1.0, 1.0)),  # any will do for a network that does not normalise
        trusted_options=tuple(trusted_options),
        **options,
    )
    return FoundNetwork(found.network, None, f"{name}, which normalises,") if name in NEED_BOUNDS else found


def described_options(network: str, found: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Options that tell a network from others of its name.

    What a file says stays as it says it, which is how it is known in records. What somebody gives besides is left
    out where the network has it by default, so that it makes no difference whether it is spelled out.

    Args:
        network: its name.
        found: options that the file says.
        given: options that somebody gives, which are then those of the network.
    """
    options, usual = dict(found), _defaults(network)
    for name, value in given.items():
        if name == "classes" and isinstance(value, str):
            value = value.replace("->", "→")  # two ways to write one mapping
        if name in options and _written(options[name]) == _written(value):
            continue
        options.pop(name, None)
        if name not in usual or _written(usual[name]) != _written(value):
            options[name] = value
    return options


def _defaults(network: str) -> dict[str, Any]:
    """What a network of ours takes if nothing is given."""
    if network not in NETWORKS:
        return {}
    both = [*signature(build_network).parameters.values(), *signature(NETWORKS[network]).parameters.values()]
    return {part.name: part.default for part in both if part.default is not Parameter.empty}


def _written(value: Any) -> str:
    """The value as a configuration writes it, where a tuple is a list."""
    return json.dumps(value, default=repr, sort_keys=True)


def check_complete(description: Mapping[str, Any]) -> None:
    """Refuse to build a network without what every one needs.

    Raises:
        ValueError: naming what is missing.
    """
    if description["num_classes"] is None or description["shape"] is None:
        raise ValueError("`num_classes` and `shape` should be given together with `network`. Found None.")
    if description["bounds"] is None and description["network"] in NEED_BOUNDS:
        raise ValueError(
            f"`bounds` should be given for {description['network']!r}, which normalises its inputs. Found None."
        )

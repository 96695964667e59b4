"""Load anybody's classifier: our Lightning checkpoints, and plain state dicts of named networks."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from generators.checkpoints import read_checkpoint
from generators.descriptions import check_description, check_fits, check_given
from training.networks.build import NEED_BOUNDS, NETWORKS, build_network
from training.networks.normalization import Normalization
from training.networks.weights import load_into

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


@dataclass(frozen=True)
class Loaded:
    """A classifier, and what is known of it.

    Attributes:
        classifier: from `(B, *shape)` in the data's own range to logits `(B, C)`, in evaluation mode, on the CPU.
        normalization: what inputs are normalised with, inside `classifier`; None if they reach the network as they
            are, or the network normalises by itself.
        said_by: what says so, for people, such as "--normalize" or "timm's pretrained_cfg"; empty if nothing does,
            and then whoever has data should find it out.
        described: what the weights were loaded into: `network`, `options`, `normalize`.
        notes: sentences that a user should read, such as that half precision was widened.
    """

    classifier: nn.Module
    normalization: Normalization | None = None
    said_by: str = ""
    described: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def load(network: str | None = None, *, checkpoint: str | Path, **options: Any) -> Loaded:
    """A classifier as `load_classifier` loads it, with all that is known of it."""
    classifier = load_classifier(network, checkpoint=checkpoint, **options)
    found = description_of(read_checkpoint(checkpoint), Path(checkpoint)) or {}
    same = network is None or found.get("network") == network
    own = {name: value for name, value in options.items() if name not in ("num_classes", "shape", "bounds", "key")}
    described = {"network": network or found["network"], "options": (found.get("options", {}) if same else {}) | own}
    return Loaded(classifier, None, "this checkpoint of alphadx" if found else "", described)


def load_classifier(
    network: str | None = None,
    *,
    checkpoint: str | Path,
    num_classes: int | None = None,
    shape: tuple[int, ...] | None = None,
    bounds: tuple[float, float] | None = None,
    key: str | None = None,
    trusted_networks: Collection[str] = (),
    **options: Any,
) -> nn.Module:
    """A classifier with the weights of a checkpoint, in evaluation mode, on the CPU.

    Nothing that the file says is run: it is read with `weights_only=True`, and a network that it names is one of
    `NETWORKS`. A dotted path is imported only where the caller names it, in `network` or `trusted_networks`.

    Args:
        network: name of the network, see `build_network`; None for a checkpoint of ours, which says it itself. What
            is not given besides is taken from a checkpoint of ours of that very network.
        checkpoint: file with a checkpoint of ours, a state dict, or a dict that holds a state dict. Names may
            carry prefixes such as `model.` or `module.`, on all or on none.
        num_classes: C; needed with `network`. Without it, what the checkpoint should be made for, like the next two.
        shape: of one input; needed with `network`.
        bounds: lowest and highest legal value of an input; needed with a `network` that normalises.
        key: which weights to take from a file with several sets, such as "ema", see `load_into`.
        trusted_networks: dotted paths that a checkpoint of ours may name.
        options: what the network takes.

    Returns:
        A module from `(B, *shape)` to logits `(B, C)`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file cannot be read safely, holds no weights or several sets, was written by a later
            version, does not say which network it is and `network` is not given, names a network that is not ours,
            was made for other shape, classes or bounds, or does not match the network: then the missing and
            unexpected keys and the keys of another shape are listed, ten of each.
    """
    path = Path(checkpoint)
    expected = {"shape": shape, "num_classes": num_classes, "bounds": bounds}
    check_given(network=network, **expected)
    content = read_checkpoint(path)
    found = description_of(content, path)
    if network is None:
        if found is None:
            raise ValueError(f"{path} does not say which network it holds. Name it with `network`.")
        check_fits(found, path, **expected)
    elif found is None or found["network"] != network:
        found = {"network": network, "options": {}, **expected}
    if network is not None:
        given = {name: value for name, value in expected.items() if value is not None}
        found, trusted_networks = found | given, [*trusted_networks, network]
    model = network_from(found | {"options": found["options"] | options}, trusted_networks, path, options)
    load_into(model, content, path, key)
    return model.eval()


def load_weights(model: nn.Module, checkpoint: str | Path, key: str | None = None) -> None:
    """Give a network the weights of a checkpoint, read as `load_classifier` reads it; the network is changed.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file cannot be read safely, holds no weights or several sets, or does not match the
            network.
    """
    path = Path(checkpoint)
    load_into(model, read_checkpoint(path), path, key)


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
) -> nn.Module:
    """The network that a description names, with fresh weights.

    Args:
        description: with `network`, `options`, `shape`, `num_classes` and `bounds`.
        trusted_networks: dotted paths that may be imported.
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
    _check_complete(description)
    options = dict(description["options"])
    if name in FETCHING:
        options["weights"] = None  # they come from the checkpoint, so nothing needs to be fetched
    return build_network(
        name,
        shape=tuple(description["shape"]),
        num_classes=description["num_classes"],
        bounds=tuple(description["bounds"] or (-1.0, 1.0)),  # any will do for a network that does not normalise
        trusted_options=tuple(trusted_options),
        **options,
    )


def _check_complete(description: Mapping[str, Any]) -> None:
    if description["num_classes"] is None or description["shape"] is None:
        raise ValueError("`num_classes` and `shape` should be given together with `network`. Found None.")
    if description["bounds"] is None and description["network"] in NEED_BOUNDS:
        raise ValueError(
            f"`bounds` should be given for {description['network']!r}, which normalises its inputs. Found None."
        )

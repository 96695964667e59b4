"""Networks by the name that their library gives them, and what the library says of them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from alignment.spelling import listed, nearest
from training.networks.adapters import OneLogit
from training.networks.batch_norm import BatchNormMode, set_batch_norm
from training.networks.calls import call
from training.networks.class_mapping import IMAGENET_CLASSES, ClassMapping, Reduction, are_groups, groups_of
from training.networks.found import FoundNetwork
from training.networks.from_folder import from_folder
from training.networks.from_robustbench import from_robustbench
from training.networks.from_timm import from_timm
from training.networks.from_torchvision import from_torchvision
from training.networks.imports import imported, options_imported, takes
from training.networks.normalization import Normalization
from training.networks.ours import NEED_BOUNDS, NETWORKS, our_network

__all__ = ["LIBRARIES", "FoundNetwork", "find_network"]

LIBRARIES: Mapping[str, Callable[..., FoundNetwork]] = {
    "hf": from_folder,
    "robustbench": from_robustbench,
    "timm": from_timm,
    "torchvision": from_torchvision,
}
"""What stands before a colon, and what reads the name behind it."""


def find_network(
    name: str,
    *,
    shape: Sequence[int],
    num_classes: int,
    bounds: tuple[float, float],
    pretrained: bool = False,
    one_logit: bool = False,
    batch_norm: BatchNormMode | None = None,
    classes: Any = None,
    reduce: Reduction = "logsumexp",
    outputs: int | None = None,
    trusted_options: Collection[str] | None = None,
    **options: Any,
) -> FoundNetwork:
    """A network by name, and what is said of the inputs that it was trained with.

    Args:
        name: see `build_network`.
        shape: of one input.
        num_classes: C ≥ 2, of the data.
        bounds: of the data.
        pretrained: with the weights that the library or the folder has for it. A function of yours is called, and
            returns a network with its weights.
        one_logit: see `build_network`, as the following.
        batch_norm: "on", "frozen" or "no_running_statistics".
        classes: the network's classes in each class of the data, see `groups_of`.
        reduce: how the logits of a class are made one, see `ClassMapping`.
        outputs: of the network itself, with `classes`.
        trusted_options: names of options that a user typed; None for all of them.
        options: what the network itself takes.

    Returns:
        The network, with a normalisation where `pretrained` weights come from a library that says one, or with
        `said_by` alone where a network is known to normalise by itself.

    Raises:
        ValueError: see `build_network`; if the pretrained network has another number of outputs than the data has
            classes and no `classes` map them; or there are no weights.
        FileNotFoundError: if a folder has no such files.
        ImportError: if the library is not installed.
        RuntimeError: if weights cannot be fetched, with the remedy.
    """
    if _is_yours(name) and not are_groups(classes):
        own = {"classes": classes, "outputs": outputs}  # options that a network of yours may have itself
        options |= {option: value for option, value in own.items() if value is not None}
        classes = outputs = None
    mapped = None if classes is None else groups_of(classes)
    wanted = _wanted_outputs(num_classes, one_logit, mapped, outputs)
    found = _found(name, shape, wanted, bounds, pretrained, options, trusted_options)
    if mapped is None:
        _check_outputs(name, found.outputs, wanted)
    network = found.network
    if batch_norm is not None:
        set_batch_norm(network, batch_norm)
    if mapped is not None:
        network = ClassMapping(network, mapped, reduce, found.outputs)
    network = OneLogit(network) if one_logit else network
    return replace(found, network=network, outputs=num_classes)


def _is_yours(name: str) -> bool:
    """Whether a name is that of a class or function of a user's own."""
    return name not in NETWORKS and name.partition(":")[0] not in LIBRARIES


def _wanted_outputs(num_classes: int, one_logit: bool, mapped: list[list[int]] | None, outputs: int | None) -> int:
    """How many outputs the network itself should have."""
    if num_classes < 2 or (one_logit and num_classes != 2):
        allowed = "2 with `one_logit`" if one_logit else "at least 2"
        raise ValueError(f"`num_classes` should be {allowed}. Found {num_classes}.")
    if mapped is None:
        if outputs is not None:
            raise ValueError(
                "`outputs` should be left out of the options without `classes`: `num_classes` says it. "
                f"Found {outputs}."
            )
        return 1 if one_logit else num_classes
    if one_logit:
        raise ValueError("`one_logit` should be left out with `classes`, which map several outputs. Found both.")
    if len(mapped) != num_classes:
        raise ValueError(f"`classes` should have {num_classes} groups, one per class. Found {len(mapped)}.")
    return IMAGENET_CLASSES if outputs is None else outputs


def _found(
    name: str,
    shape: Sequence[int],
    outputs: int,
    bounds: tuple[float, float],
    pretrained: bool,
    options: Mapping[str, Any],
    trusted: Collection[str] | None,
) -> FoundNetwork:
    library, colon, rest = name.partition(":")
    if colon and library in LIBRARIES:
        return _from_bounds(LIBRARIES[library](rest, outputs, pretrained, options, trusted), bounds)
    if name in NETWORKS:
        if pretrained:
            raise ValueError(
                f"`pretrained` should be left out for {name!r}, which has no weights of its own for a data set. Name "
                "a checkpoint, or a network of torchvision:, timm: or robustbench:, or of a folder with hf:."
            )
        network = our_network(name, shape, outputs, bounds, options, trusted)
        inside = f"{name}, which normalises by itself" if name in NEED_BOUNDS else ""
        return FoundNetwork(network, None, inside, outputs)
    if colon or "." in name:
        return FoundNetwork(_called(name, outputs, pretrained, options, trusted))
    raise _unknown(name)


def _from_bounds(found: FoundNetwork, bounds: tuple[float, float]) -> FoundNetwork:
    """What a library says holds for inputs in [0, 1], to which others are brought even if nothing else is done."""
    if not found.said_by or found.normalization is not None or tuple(bounds) == (0.0, 1.0):
        return found
    return replace(found, normalization=Normalization((0.0,), (1.0,)))


def _unknown(name: str) -> ValueError:
    from torchvision import models

    elsewhere = [f"torchvision:{name}"] if name in models.list_models(models) else []
    close = elsewhere + nearest(name, NETWORKS, 3)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    libraries = ", ".join(f"{library}:" for library in LIBRARIES)
    return ValueError(
        f"`network` should be one of {listed(name, NETWORKS)}, a name behind {libraries}, or a dotted path. "
        f"Found {name!r}.{hint}"
    )


def _called(
    name: str, outputs: int, pretrained: bool, options: Mapping[str, Any], trusted: Collection[str] | None
) -> Any:
    """What a class or function of a user's makes."""
    make = imported(name)
    if not callable(make):
        raise ValueError(f"The network {name!r} should be a class or function. Found {type(make).__name__}.")
    given: dict[str, Any] = {}
    # Weights that a factory reads have their own number of classes: it is told ours only if it asks by name.
    if takes(make, "num_classes", among_others=not pretrained):
        given["num_classes"] = outputs
    if pretrained and takes(make, "pretrained", among_others=False):
        given["pretrained"] = True
    return call(make, name, given | options_imported(make, options, trusted))


def _check_outputs(name: str, found: int | None, wanted: int) -> None:
    if found is not None and found != wanted:
        raise ValueError(
            f"`classes` should say which of the {found} outputs of {name!r} belong to each class, for data with "
            f"{wanted} classes, such as imagenet→imagenette or a list of indexes for each. Found None."
        )

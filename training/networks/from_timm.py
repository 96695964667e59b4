"""Networks of timm by its names, such as resnet10t.c3_in1k, with its weights and what they were trained with."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from training.networks.calls import call
from training.networks.found import FoundNetwork, as_said, similar
from training.networks.imports import options_imported
from training.networks.normalization import Normalization


def from_timm(
    name: str, outputs: int, pretrained: bool, options: Mapping[str, Any], trusted: Any = None
) -> FoundNetwork:
    """A classifier of timm.

    Args:
        name: as `timm.list_models` or `timm.list_pretrained` lists it.
        outputs: number of logits; with `pretrained`, the weights have their own.
        pretrained: with timm's weights.
        options: what the network takes.
        trusted: see `options_imported`.

    Raises:
        ImportError: if timm is not installed.
        ValueError: for a name it does not have, a name without weights, or options it does not take.
        RuntimeError: if the weights cannot be fetched, with the remedy.
    """
    timm = timm_itself()
    if not timm.is_model(name):
        names = timm.list_models()
        raise ValueError(
            f"`network` should name a network of timm, such as {similar(name, names)}. Found 'timm:{name}'."
        )
    options = options_imported(timm.create_model, options, trusted)
    if not pretrained:
        return FoundNetwork(call(timm.create_model, f"timm:{name}", _named(name, outputs, options)), outputs=outputs)
    if not (_has_weights(timm, name) or options.keys() & {"pretrained_cfg", "pretrained_cfg_overlay"}):
        known = timm.list_pretrained()
        raise ValueError(
            f"timm has no weights for {name!r}. `pretrained` goes with names that it has, such as "
            f"{similar(name, known)}."
        )
    network = _fetched(timm, name, options)
    normalization, said_by = said_by_timm(getattr(network, "pretrained_cfg", {}), f"timm's pretrained_cfg of {name}")
    return FoundNetwork(network, normalization, said_by, getattr(network, "num_classes", None))


def timm_itself() -> Any:
    """The package.

    Raises:
        ImportError: if it is not installed, with the remedy.
    """
    try:
        import timm
    except ImportError as error:
        raise ImportError("Networks of timm need it. Install it: pip install 'alphadx[timm]'.") from error
    return timm


def said_by_timm(said: Mapping[str, Any], where: str) -> tuple[Normalization | None, str]:
    """What a `pretrained_cfg` says of the inputs, and what to call it; an empty name if it says nothing."""
    if said.get("mean") is None or said.get("std") is None:
        return None, ""
    return as_said(said["mean"], said["std"]), where


def _has_weights(timm: Any, name: str) -> bool:
    try:
        return bool(timm.get_pretrained_cfg(name).has_weights)
    except RuntimeError:  # a tag that there is not
        return False


def _named(name: str, outputs: int, options: Mapping[str, Any]) -> dict[str, Any]:
    return {**options, "model_name": name, "pretrained": False, "num_classes": outputs}


def _fetched(timm: Any, name: str, options: Mapping[str, Any]) -> nn.Module:
    """With weights; whatever fetches them fails in its own way, so everything but an option is a failure to fetch."""
    try:
        return timm.create_model(name, pretrained=True, **options)
    except TypeError as error:
        raise ValueError(f"The network 'timm:{name}' does not take these options: {error}.") from error
    except Exception as error:
        raise RuntimeError(
            f"timm could not fetch the weights of {name} ({_first_line(error)}). Fetch them on a machine with a "
            f"network and name the file as a checkpoint of 'timm:{name}', or copy the cache of Hugging Face there to "
            "this machine."
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]

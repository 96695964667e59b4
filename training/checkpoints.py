"""Load anybody's classifier: our Lightning checkpoints, and plain state dicts of named networks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.networks.build import build_network

NETWORK_KEY = "alphadx_network"
"""Where a checkpoint of ours says which network it holds."""
FORMAT = 1
FETCHING = ("resnet18", "swin_adapters", "vit_adapters")
"""Networks that would fetch weights unless told not to."""
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "ema")
"""Keys under which a state dict is commonly stored."""
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "classifier.", "backbone.")
"""Prefixes that wrappers (DataParallel, torch.compile, training scripts) put before parameter names."""


def load_classifier(
    network: str | None = None,
    *,
    checkpoint: str | Path,
    num_classes: int | None = None,
    shape: tuple[int, ...] | None = None,
    bounds: tuple[float, float] = (-1.0, 1.0),
    **options: Any,
) -> nn.Module:
    """A classifier with the weights of a checkpoint, in evaluation mode, on the CPU.

    The file is read with `weights_only=True`: nothing in it is executed.

    Args:
        network: name of the network, see `build_network`; None for a checkpoint of ours, which says it itself.
        checkpoint: file with a checkpoint of ours, a state dict, or a dict that holds a state dict. Names may
            carry prefixes such as `model.` or `module.`, on all or on none.
        num_classes: C; needed with `network`.
        shape: of one input; needed with `network`.
        bounds: lowest and highest legal value of an input, for networks that normalise.
        options: what the network takes.

    Returns:
        A module from `(B, *shape)` to logits `(B, C)`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file cannot be read safely, holds no weights, does not say which network it is and
            `network` is not given, or does not match the network: then the missing and unexpected keys and
            the keys of another shape are listed.
    """
    path = Path(checkpoint)
    content = _read(path)
    description = content.get(NETWORK_KEY)
    if network is None:
        if description is None:
            raise ValueError(f"{path} does not say which network it holds. Name it with `network`.")
        model = network_from(description)
    elif num_classes is None or shape is None:
        raise ValueError("`num_classes` and `shape` should be given together with `network`. Found None.")
    else:
        if network in FETCHING:
            options = {"weights": None} | options
        model = build_network(network, shape=shape, num_classes=num_classes, bounds=bounds, **options)
    _load(model, _weights(content, path), path)
    return model.eval()


def load_weights(model: nn.Module, checkpoint: str | Path) -> None:
    """Give a network the weights of a checkpoint, read as `load_classifier` reads it; the network is changed.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file cannot be read safely, holds no weights, or does not match the network.
    """
    path = Path(checkpoint)
    _load(model, _weights(_read(path), path), path)


def network_from(description: Mapping[str, Any]) -> nn.Module:
    """The network that a checkpoint of ours describes, with fresh weights."""
    options = dict(description["options"])
    if description["network"] in FETCHING:
        options["weights"] = None  # they come from the checkpoint, so nothing needs to be fetched
    return build_network(
        description["network"],
        shape=tuple(description["shape"]),
        num_classes=description["num_classes"],
        bounds=tuple(description["bounds"]),
        **options,
    )


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint file.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file of another kind can make the reader fail in any way
        raise ValueError(
            f"{path} cannot be read with weights_only=True, which executes nothing from the file. "
            f"Save the model's state_dict() instead. ({error})"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} should hold a dict. Found {type(content).__name__}.")
    return content


def _weights(content: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """The state dict, wherever it lies."""
    for _ in range(3):
        if content and all(isinstance(value, Tensor) for value in content.values()):
            return content
        inside = next((key for key in WRAPPERS if isinstance(content.get(key), dict)), None)
        if inside is None:
            break
        content = content[inside]
    raise ValueError(
        f"{path} should hold a state dict, alone or under one of {', '.join(WRAPPERS)}. "
        f"Found the keys {sorted(map(str, content))[:10]}."
    )


def _load(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    wanted = model.state_dict()
    found = _matched_prefixes(weights, wanted)
    missing = sorted(wanted.keys() - found.keys())
    unexpected = sorted(found.keys() - wanted.keys())
    shapes = sorted(key for key in wanted.keys() & found.keys() if wanted[key].shape != found[key].shape)
    if missing or unexpected or shapes:
        described = [f"{key} {tuple(found[key].shape)} for {tuple(wanted[key].shape)}" for key in shapes]
        raise ValueError(
            f"{path} does not match the network. Missing keys: {missing}. Unexpected keys: {unexpected}. "
            f"Keys of another shape: {described}."
        )
    model.load_state_dict(found)


def _matched_prefixes(weights: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names with the prefixes that fit the network best: stripped from the file, or from both sides."""
    bare_to_wanted = {_bare(key): key for key in wanted}
    if len(bare_to_wanted) < len(wanted):  # prefixes tell parameters apart, so they must stay
        bare_to_wanted = {key: key for key in wanted}
    renamed = {bare_to_wanted.get(_bare(key), _bare(key)): value for key, value in weights.items()}
    forms = [weights]
    while prefix := next((prefix for prefix in PREFIXES if all(key.startswith(prefix) for key in forms[-1])), None):
        forms.append({key.removeprefix(prefix): value for key, value in forms[-1].items()})
    if len(renamed) == len(weights):
        forms.append(renamed)
    return max(forms, key=lambda form: len(form.keys() & wanted.keys()))


def _bare(key: str) -> str:
    while prefix := next((prefix for prefix in PREFIXES if key.startswith(prefix)), None):
        key = key.removeprefix(prefix)
    return key

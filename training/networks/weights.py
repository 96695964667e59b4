"""Find the weights of a network in a file, whatever they are stored under and however their names begin."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "ema")
"""Keys under which a state dict is commonly stored; where none fits, the first of these is spoken of."""
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "classifier.", "backbone.")
"""Prefixes that wrappers (DataParallel, torch.compile, training scripts) put before parameter names."""
DEPTH = 3
"""How many dicts deep weights are looked for."""
SHOWN = 10
"""Names that an error lists."""


def load_into(model: nn.Module, content: Mapping[str, Any], path: Path, key: str | None = None) -> None:
    """Give a network its weights from what a file holds.

    Names may carry prefixes such as `model.` or `module.`, on all or on none. As torch does, a batch norm may lack
    its `num_batches_tracked`; the `n_averaged` of an averaged model is passed over.

    Args:
        model: whose weights are set.
        content: of the file.
        path: of the file, for messages.
        key: under which the weights are stored, such as "ema"; or what their names begin with, such as
            "module.model", and then other names are passed over. None where there is one set of weights.

    Raises:
        ValueError: if there are no weights, several that fit, or none that does.
    """
    sets = _chosen(content, path, key)
    wanted = model.state_dict()
    forms = {name: _matched(weights, wanted) for name, weights in sets.items()}
    fitting = [name for name, form in forms.items() if not _differences(form, wanted)]
    if len(fitting) > 1:
        raise ValueError(
            f"{path} holds several sets of weights that fit the network, under {_listed(fitting)}. "
            f"Choose one with `key`, such as key={fitting[0]!r} (--key {fitting[0]})."
        )
    name = fitting[0] if fitting else min(forms, key=_commonness)
    if differences := _differences(forms[name], wanted):
        hint = _hint(sets[name], wanted, name)
        raise ValueError(f"{path} does not match the network. {differences}{hint}")
    model.load_state_dict(wanted | forms[name])


def _chosen(content: Mapping[str, Any], path: Path, key: str | None) -> dict[str, Weights]:
    """The sets of weights that the key leaves, by what they are stored under."""
    sets = dict(_state_dicts(content))
    if not sets:
        raise ValueError(
            f"{path} should hold a state dict, alone or under one of {', '.join(WRAPPERS)}. "
            f"Found the keys {sorted(map(str, content))[:SHOWN]}."
        )
    if key is None:
        return sets
    if not isinstance(key, str):
        raise ValueError(f"{path}: `key` should be a name. Found {key!r}.")
    under = {name: weights for name, weights in sets.items() if name == key or name.startswith(f"{key}.")}
    found = under or {
        f"{name}.{key.removeprefix(f'{name}.')}": part
        for name, weights in sets.items()
        if (part := _beginning(weights, name, key))
    }
    if not found:
        raise ValueError(f"{path}: `key` should be one of {_listed(sorted(sets, key=_commonness))}. Found {key!r}.")
    return found


def _state_dicts(content: Mapping[Any, Any], name: str = "", depth: int = DEPTH) -> Iterator[tuple[str, Weights]]:
    """Dicts that hold nothing but tensors, by the keys that lead to them, joined by dots."""
    if content and all(isinstance(value, Tensor) for value in content.values()):
        yield name, {str(key): value for key, value in content.items()}
    elif depth:
        for key, value in content.items():
            if isinstance(value, Mapping):
                yield from _state_dicts(value, f"{name}.{key}".removeprefix("."), depth - 1)


def _beginning(weights: Weights, name: str, key: str) -> Weights:
    """Weights whose names begin with the key, without it; what they are stored under may come before."""
    prefix = key.removeprefix(f"{name}.") + "."
    return {own.removeprefix(prefix): value for own, value in weights.items() if own.startswith(prefix)}


def _commonness(name: str) -> int:
    first = name.split(".")[0]
    return WRAPPERS.index(first) if first in WRAPPERS else len(WRAPPERS)


def _matched(weights: Weights, wanted: Weights) -> Weights:
    """Names with the prefixes that fit the network best: stripped from the file, or from both sides."""
    weights = {key: value for key, value in weights.items() if key in wanted or not _is_count_of_averages(key)}
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


def _is_count_of_averages(key: str) -> bool:
    """What torch's AveragedModel keeps beside the weights."""
    return key.split(".")[-1] == "n_averaged"


def _bare(key: str) -> str:
    while prefix := next((prefix for prefix in PREFIXES if key.startswith(prefix)), None):
        key = key.removeprefix(prefix)
    return key


def _differences(found: Weights, wanted: Weights) -> str:
    """What keeps weights from a network, in words; empty if nothing does."""
    missing = [key for key in sorted(wanted.keys() - found.keys()) if not key.endswith("num_batches_tracked")]
    unexpected = sorted(found.keys() - wanted.keys())
    shapes = [
        f"{key} {tuple(found[key].shape)} for {tuple(wanted[key].shape)}"
        for key in sorted(wanted.keys() & found.keys())
        if wanted[key].shape != found[key].shape
    ]
    kinds = [
        f"{key} {_kind(found[key])} for {_kind(wanted[key])}"
        for key in sorted(wanted.keys() & found.keys())
        if _kind(found[key]) != _kind(wanted[key]) and not key.endswith("num_batches_tracked")
    ]
    parts = {
        "Missing keys": missing,
        "Unexpected keys": unexpected,
        "Keys of another shape": shapes,
        "Keys of another kind": kinds,
    }
    return " ".join(f"{name}: {_listed(keys)}." for name, keys in parts.items() if keys)


def _kind(weight: Tensor) -> str:
    """What a weight holds; within a kind torch converts, as from float16 to float32, and between them it loses."""
    if weight.is_meta:
        return "no values"
    if weight.layout != torch.strided:
        return str(weight.layout).removeprefix("torch.")
    return "complex" if weight.is_complex() else "floating-point" if weight.is_floating_point() else "whole numbers"


def _hint(weights: Weights, wanted: Weights, name: str) -> str:
    """Which `key` takes those weights that would fit, where other names stand beside them."""
    starts = {".".join(key.split(".")[:depth]) for key in weights for depth in range(1, key.count(".") + 1)}
    fitting = []
    for start in sorted(starts, key=lambda start: (len(start), start)):
        form = _matched(_beginning(weights, "", start), wanted)
        if not _differences(form, wanted):
            fitting.append(start)
    # The outermost prefixes: inside of them the same weights would fit again.
    fitting = [start for start in fitting if not any(start.startswith(f"{other}.") for other in fitting)]
    if not fitting:
        return ""
    keys = [f"{name}.{start}".removeprefix(".") for start in fitting]
    return (
        f" Those under {_listed(keys)} fit: take them with `key`, such as key={keys[0]!r} (--key {keys[0]}), if the "
        "network can do without the others."
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{names[:SHOWN]}{more}"

"""Sets of weights in what a file holds, whatever they are stored under, and the choice of one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from training.checkpoints.matching import Weights, fits_of, starts
from training.checkpoints.mismatch import difference, in_short
from training.checkpoints.taking import Taken, taken

WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "weights",
    "params",
    "module",
    "ema",
    "model_ema",
    "ema_model",
    "state_dict_ema",
)
"""Keys under which a state dict is commonly stored; where none fits, the first of these is spoken of."""
DEPTH = 6
"""How many dicts deep weights are looked for."""


@dataclass(frozen=True)
class Stored:
    """A set of weights in a file.

    Attributes:
        name: the keys that lead to it, joined by dots; empty for a file that is itself one.
        weights: by their names in the file.
        start: what is taken of it: what names begin with; empty for all.
    """

    name: str
    weights: Weights
    start: str = ""

    def where(self, prefix: str) -> str:
        """The key that takes what stands behind a prefix."""
        return f"{self.name}.{prefix}".strip(".")


def load_into(model: nn.Module, content: Mapping[str, Any], path: Path, key: str | None = None) -> Taken:
    """Give a network its weights from what a file holds.

    Names may carry any prefix. As torch does, a batch norm may lack its `num_batches_tracked`; the `n_averaged` of an
    averaged model is passed over. The same numbers may lie in a file several times.

    Args:
        model: whose weights are set.
        content: of the file.
        path: of the file, for messages.
        key: under which the weights are stored, such as "ema"; or what their names begin with, such as
            "module.model", and then all other names are passed over. None where there is one set of weights.

    Returns:
        What lay beside the weights, and what a user should know.

    Raises:
        ValueError: if there are no weights, several that fit and differ, none that does, or something beside them
            that nobody knows.
    """
    stored = _chosen(content, path, key)
    wanted = model.state_dict()
    found = [(one, fit) for one in stored for fit in fits_of(one.weights, wanted, one.start)]
    if not found:
        raise ValueError(f"{path} does not match the network. {difference([one.weights for one in stored], wanted)}")
    one, fit = found[0]
    if not all(fit.same_as(other) for _, other in found):
        keys = list(dict.fromkeys(each.where(other.prefix) for each, other in found))
        raise ValueError(
            f"{path} holds several sets of weights that fit the network, under {in_short(keys)}. "
            f"Choose one with `key`, such as key={keys[0]!r} (--key {keys[0]})."
        )
    others = [other for each, other in found if each is one]
    result = taken(fit, others, wanted, path, one.where(fit.prefix), key)
    model.load_state_dict(wanted | fit.weights)
    rivals = [] if key is None else _rivals(content, stored, wanted)
    told = f"Of several sets of weights, the one under {key!r} was taken; the file holds {in_short(rivals)} too."
    return replace(result, notes=(*result.notes, told)) if rivals else result


def _rivals(content: Mapping[str, Any], chosen: Sequence[Stored], wanted: Weights) -> list[str]:
    """Other sets that may hold as much as the network takes."""
    names = {one.name for one in chosen}
    return [one.name for one in _stored(content) if one.name not in names and 2 * len(one.weights) >= len(wanted)]


def _chosen(content: Mapping[str, Any], path: Path, key: str | None) -> list[Stored]:
    """The sets of weights that the key leaves, the commonest names first."""
    stored = sorted(_stored(content), key=lambda one: _commonness(one.name))
    if not stored:
        raise ValueError(
            f"{path} should hold a state dict, alone or under one of {', '.join(WRAPPERS)}. "
            f"Found the keys {in_short(sorted(map(str, content)))}."
        )
    if key is None:
        return stored
    if not isinstance(key, str) or not key:
        raise ValueError(f"{path}: `key` should be a name. Found {key!r}.")
    found = [one for one in stored if one.name == key or one.name.startswith(f"{key}.")] or [
        Stored(one.name, one.weights, start)
        for one in stored
        if (start := f"{key.removeprefix(f'{one.name}.')}.") in starts(one.weights)
    ]
    if not found:
        raise ValueError(f"{path}: `key` should be one of {in_short([one.name for one in stored])}. Found {key!r}.")
    return found


def _stored(content: Mapping[Any, Any], name: str = "", depth: int = DEPTH) -> Iterator[Stored]:
    """What holds tensors, by the keys that lead to it; other values beside them are passed over."""
    if weights := {str(key): value for key, value in content.items() if isinstance(value, Tensor)}:
        yield Stored(name, weights)
    for key, value in content.items():
        inner = dict(enumerate(value)) if isinstance(value, list | tuple) else value
        if depth and isinstance(inner, Mapping):
            yield from _stored(inner, f"{name}.{key}".removeprefix("."), depth - 1)


def _commonness(name: str) -> int:
    first = name.split(".")[0]
    return WRAPPERS.index(first) if first in WRAPPERS else len(WRAPPERS)

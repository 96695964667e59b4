"""The classes and functions of a user's own that a study names: edited, they train and measure something else."""

from collections.abc import Iterator, Mapping
from types import FunctionType
from typing import Any

from eval.records.own_code import digest_of
from training.networks.imports import DOTTED, imported

NAMING = ("class_path", "network")
"""Keys of a configuration whose values are imported in any case."""


def own_code(source: Mapping[str, Any]) -> dict[str, str]:
    """A digest of the code of each, by the path that names it; what cannot be imported is refused elsewhere.

    Args:
        source: of a study, as its YAML holds it.
    """
    found = {}
    for path in dict.fromkeys(path for path in _paths(source) if DOTTED.fullmatch(path.replace(":", ".", 1))):
        try:
            value = imported(path)
        except ValueError:
            continue
        if isinstance(value, type | FunctionType) and (code := digest_of(value)):
            found[path] = code
    return found


def _paths(value: Any, key: str = "") -> Iterator[str]:
    """Texts that stand where a class or a function is named; a file such as `train.ckpt` is no module to import."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _paths(item, str(name))
    elif isinstance(value, list):
        for item in value:
            yield from _paths(item, key)
    elif isinstance(value, str) and (key in NAMING or (key == "attacks" and ":" in value)):
        yield value

"""Configurations laid over one another, and what they refer to."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

FIRST = "first/"
"""How a configuration refers to what a study trains before all else."""
SEED = "{seed}"
"""Stands in such a name for the seed of the model that refers to it."""


def laid_over(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with changes, key by key; neither is altered.

    Example:
        >>> laid_over({"model": {"network": "mlp", "seed": 0}}, {"model": {"seed": 1}})
        {'model': {'network': 'mlp', 'seed': 1}}
    """
    result = deepcopy(dict(base))
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = laid_over(result[key], value) if both else deepcopy(value)
    return result


def replaced_by(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with changes, key by key, in which a key without a value is taken out.

    Example:
        >>> replaced_by({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 5, "c": None}})
        {'a': {'b': 5}, 'd': 3}
    """
    result = deepcopy(dict(base))
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = replaced_by(result[key], value)
        else:
            result[key] = deepcopy(value)
    return result


def with_first(value: Any, path_of: Callable[[str], str], seed: int | None = None) -> Any:
    """A configuration in which `path_of(NAME)` stands wherever it says `first/NAME`.

    Args:
        value: the configuration, or a part of it.
        path_of: from a name to what stands for it.
        seed: stands for `{seed}` in a name; None where there is none.

    Example:
        >>> with_first({"residual": "first/mine", "limit": 9}, "runs/{}.ckpt".format)
        {'residual': 'runs/mine.ckpt', 'limit': 9}
        >>> with_first(["first/mine-{seed}"], "runs/{}.ckpt".format, seed=2)
        ['runs/mine-2.ckpt']
    """
    if isinstance(value, Mapping):
        return {key: with_first(item, path_of, seed) for key, item in value.items()}
    if isinstance(value, list):
        return [with_first(item, path_of, seed) for item in value]
    if isinstance(value, str) and value.startswith(FIRST):
        name = value.removeprefix(FIRST)
        return path_of(name if seed is None else name.replace(SEED, str(seed)))
    return value

"""What a file says of itself is checked before anything is made from it, and is never run.

A checkpoint that `alphadx fit` writes describes its network in plain values: name, options, shape, classes, bounds.
Anybody can write such a file, so a name in it is looked up in a closed list, and is never imported.
"""

from collections.abc import Callable, Collection, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any


def check_format(found: Any, newest: int, path: Path) -> None:
    """Refuse what a later version wrote, which may mean something else.

    Raises:
        ValueError: if the format is no number from 1 to `newest`.
    """
    if not _is_whole(found, 1):
        raise ValueError(f"{path}: its `format` should be a number from 1 on. Found {found!r}.")
    if found > newest:
        raise ValueError(
            f"{path} has format {found}, which a later version of alphadx wrote; this one reads formats up to "
            f"{newest}. Update alphadx."
        )


def check_description(found: Any, path: Path, newest: int) -> dict[str, Any]:
    """The description of a network, its shape and bounds as tuples.

    Args:
        found: what the file says.
        path: of the file, for messages.
        newest: format that this version writes.

    Raises:
        ValueError: if a later version wrote it, something is missing, or of another type than it should be.
    """
    if not isinstance(found, Mapping):
        raise ValueError(f"{path}: its description should be a dict. Found {type(found).__name__}.")
    check_format(found.get("format", 1), newest, path)
    for key, (expected, is_right) in _EXPECTED.items():
        if not is_right(found.get(key)):
            raise ValueError(f"{path}: the `{key}` it describes should be {expected}. Found {found.get(key)!r}.")
    if taken := sorted(found["options"].keys() & {*_GIVEN}):
        raise ValueError(f"{path}: the `options` it describes should leave out {', '.join(taken)}.")
    return dict(found) | {"shape": tuple(found["shape"]), "bounds": tuple(found["bounds"])}


def check_given(**values: Any) -> None:
    """Refuse a shape, a number of classes or bounds that a caller gives and no description could hold.

    Raises:
        ValueError: naming the argument; None is not looked at.
    """
    for name, value in values.items():
        expected, is_right = _EXPECTED[name]
        if value is not None and not is_right(value):
            raise ValueError(f"`{name}` should be {expected}. Found {value!r}.")


def check_known(description: Mapping[str, Any], key: str, known: Collection[str], path: Path) -> None:
    """Refuse a name that is not on a closed list.

    Raises:
        ValueError: if the description names something else under the key.
    """
    if description.get(key) not in [*known]:
        raise ValueError(
            f"{path}: the `{key}` it describes should be one of {', '.join(known)}. Found {description.get(key)!r}."
        )


def check_fits(found: Mapping[str, Any], path: str | Path, **expected: Any) -> None:
    """Refuse a file, or a network, that was made for other data, naming all that differs.

    Args:
        found: the description of its network.
        path: of the file, or what the network is, for messages.
        expected: what the data have, such as `shape`, `num_classes` or `bounds`; None for what does not matter.

    Raises:
        ValueError: if anything expected is described otherwise.
    """
    differing = [
        f"{key} {_listed(found.get(key))!r} where {_listed(value)!r} is needed"
        for key, value in expected.items()
        if value is not None and _listed(found.get(key)) != _listed(value)
    ]
    if differing:
        raise ValueError(f"{path} was made for something else: {', '.join(differing)}.")


_GIVEN = ("name", "shape", "num_classes", "bounds")
"""What a network is built with besides its options."""


def _listed(value: Any) -> Any:
    return [*value] if isinstance(value, list | tuple) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def _is_shape(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(_is_whole(size, 1) for size in value)


def _is_interval(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_number, value)) and value[0] < value[1]


def _is_plain(value: Any) -> bool:
    """Plain values only, and nothing that names a class as a configuration does."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and key != "class_path" and _is_plain(value[key]) for key in value)
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | bool | int | float)


_EXPECTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "network": ("a name", lambda value: isinstance(value, str)),
    "options": ("a dict of plain values", lambda value: isinstance(value, Mapping) and _is_plain(value)),
    "shape": ("one or more sizes", _is_shape),
    "num_classes": ("2 or more", lambda value: _is_whole(value, 2)),
    "bounds": ("two numbers, the lower one first", _is_interval),
}

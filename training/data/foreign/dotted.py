"""Classes and functions of users by dotted path, and their arguments from plain values."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.networks.imports import make_current_folder_importable

CLASS, ARGUMENTS = "class_path", "init_args"


def imported(path: str, argument: str) -> Any:
    """What a dotted path names; the current folder can be imported from, as with `python -m`.

    Args:
        path: `package.module.Name` or `package.module:Name.method`.
        argument: that holds it, for messages.

    Raises:
        ValueError: if there is no such module, or no such name in it.

    Example:
        >>> imported("math:sqrt", "source")(9)
        3.0
    """
    module, colon, attribute = path.partition(":")
    if not colon:
        module, _, attribute = path.rpartition(".")
    if not module or not attribute:
        raise ValueError(f"`{argument}` should be a dotted path such as mypackage.data:MyDataset. Found {path!r}.")
    make_current_folder_importable()
    try:
        found: Any = importlib.import_module(module)
        for name in attribute.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"`{argument}` should name something that can be imported here. Found {path!r} ({error})."
        ) from error
    return found


def built(value: Any, argument: str) -> Any:
    """Plain values with every `{class_path: …, init_args: {…}}` in them made into the object it describes.

    Example:
        >>> built({"when": {"class_path": "datetime.timedelta", "init_args": {"days": 1}}}, "options")
        {'when': datetime.timedelta(days=1)}
    """
    if isinstance(value, list | tuple):
        return [built(part, argument) for part in value]
    if not isinstance(value, Mapping):
        return value
    inner = {key: built(part, argument) for key, part in value.items()}
    if CLASS not in inner:
        return inner
    if unknown := sorted(inner.keys() - {CLASS, ARGUMENTS}):
        raise ValueError(f"`{argument}` should hold {CLASS} and {ARGUMENTS}. Found {', '.join(unknown)} beside them.")
    return called(imported(inner[CLASS], argument), inner.get(ARGUMENTS) or {}, inner[CLASS], argument)


def called(make: Any, options: Mapping[str, Any], path: str, argument: str) -> Any:
    """What a class or function returns for options.

    Raises:
        ValueError: if it does not take them.
    """
    try:
        return make(**options)
    except TypeError as error:
        raise ValueError(f"`{argument}` should be what {path} takes. Found {dict(options)}: {error}.") from error


def without_paths(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Options but for those that say where files lie, which are no part of what the samples are."""
    return {name: value for name, value in (options or {}).items() if not _is_path(value)}


def _is_path(value: Any) -> bool:
    return isinstance(value, str | Path) and Path(value).exists()

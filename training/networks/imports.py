"""What a user names by a dotted path: factories of networks, and classes among their options.

Only what a user typed is imported, in a call, a command or a configuration, and never what a checkpoint says.
"""

import importlib
import os
import re
import sys
from collections.abc import Callable, Collection, Mapping
from inspect import Parameter, signature
from typing import Any, get_type_hints

from alignment.sisters import PACKAGES

DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
"""A path such as torch.nn.SiLU, and no number, file with a folder, or name with a dash."""
CALLABLE = re.compile(r"\b(Callable|type\[|Type\[)")
"""Annotations of parameters that take a class or a function."""


def imported(path: str) -> Any:
    """What lies at `package.module.name`, `package.module:name` or `package.module:Class.method`.

    As for `python -m`, the current folder is importable.

    Raises:
        ValueError: if it cannot be imported, or is not there, with what the module has of a similar name.
    """
    make_current_folder_importable()
    module_path, colon, attributes = path.partition(":")
    try:
        if colon:
            return _inside(importlib.import_module(module_path), attributes.split("."))
        return _deepest(path.split("."))
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"The network {path!r} cannot be imported: {error}.") from error


def options_imported(
    make: Callable[..., Any], options: Mapping[str, Any], trusted: Collection[str] | None
) -> dict[str, Any]:
    """Options with classes and functions in place of the dotted paths that name them.

    A text such as `torch.nn.SiLU` is imported where the parameter takes a class or a function, as its annotation or
    its default says. Where `make` passes its options on, as the factories of torchvision and timm do, nothing says
    that, and such a text is imported if it names a class or a function, and left as it is if it does not.

    Args:
        make: takes the options.
        options: by name.
        trusted: names of options that a user typed; None for all of them.

    Raises:
        ValueError: if a class that a parameter needs cannot be imported, or is named by nobody who is trusted.
    """
    trusted = [*options] if trusted is None else trusted
    parameters, hints = _parameters(make)
    passes_on = any(part.kind is Parameter.VAR_KEYWORD for part in parameters.values())

    def resolved(name: str, value: Any) -> Any:
        if not isinstance(value, str) or not DOTTED.fullmatch(value):
            return value
        if name in parameters and _takes_callable(parameters[name], hints.get(name)):
            return _class(name, value, name in trusted)
        return _class_or_text(value) if passes_on and name not in parameters and name in trusted else value

    return {name: resolved(name, value) for name, value in options.items()}


def takes(make: Callable[..., Any], name: str, *, among_others: bool = True) -> bool:
    """Whether a factory takes an option by its name, or among any others."""
    parameters, _ = _parameters(make)
    kinds = [part.kind for part in parameters.values()]
    return name in parameters or (among_others and Parameter.VAR_KEYWORD in kinds)


def make_current_folder_importable() -> None:
    """Let the current folder be imported from, as `python -m` does.

    One with modules of our packages' names comes last, so that it does not hide ours from processes that are started.
    """
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        hides = any(os.path.exists(os.path.join(here, name + end)) for name in PACKAGES for end in ("", ".py"))
        sys.path.insert(len(sys.path) if hides else 0, here)


def _deepest(parts: list[str]) -> Any:
    """The longest beginning that is a module is imported, and the rest looked up in it."""
    for end in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:end])
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            # Missing is the path itself, and not something that one of its modules imports.
            if end == 1 or error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
        else:
            return _inside(module, parts[end:])
    raise ValueError("it should name a module and something in it, as package.module.name")


def _inside(found: Any, attributes: list[str]) -> Any:
    for attribute in attributes:
        found = getattr(found, attribute)
    return found


def _parameters(make: Callable[..., Any]) -> tuple[Mapping[str, Parameter], Mapping[str, Any]]:
    try:
        parameters = signature(make).parameters
    except (TypeError, ValueError):
        return {}, {}
    try:
        hints = get_type_hints(vars(make).get("__init__", make) if isinstance(make, type) else make)
    except Exception:  # an annotation may name what only a type checker knows
        hints = {}
    return parameters, hints


def _takes_callable(parameter: Parameter, hint: Any) -> bool:
    if callable(parameter.default) and parameter.default is not Parameter.empty:
        return True
    return bool(CALLABLE.search(str(parameter.annotation if hint is None else hint)))


def _class(name: str, path: str, trusted: bool) -> Any:
    if not trusted:
        raise ValueError(
            f"The option `{name}` names {path!r}, and nothing is imported because a file says so. If it is yours, "
            f"say so: {name}={path!r}."
        )
    try:
        found = imported(path)
    except ValueError as error:
        raise ValueError(
            f"`{name}` should be the dotted path of a class or function. Found {path!r}: {error.__cause__}."
        ) from error
    if not callable(found):
        raise ValueError(f"`{name}` should be the dotted path of a class or function. Found {path!r}, {found!r}.")
    return found


def _class_or_text(path: str) -> Any:
    try:
        found = imported(path)
    except ValueError:
        return path
    return found if callable(found) else path

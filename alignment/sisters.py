"""The packages of alphadx have names that other programs use, too: say so where one is hidden by such a module."""

import os
import sys
import warnings
from importlib.util import find_spec

PACKAGES = ("alignment", "generators", "training", "eval")
"""Each imports only those before it."""
_told: set[str] = set()


def check_sisters(package: str) -> None:
    """Look, without importing them, whether Python finds the other packages of alphadx beside this one.

    Args:
        package: the `__name__` of one of them, which is being imported.

    Raises:
        ImportError: if one that it needs is hidden by another module of that name; of others it warns, once.
    """
    home = _folder_above(sys.modules[package].__file__)
    for name in PACKAGES:
        place = place_of(name)
        if place is None or _folder_above(place) == home or name in _told:
            continue
        if PACKAGES.index(name) < PACKAGES.index(package):
            raise ImportError(hidden(name, place), name=name, path=place)
        _told.add(name)
        warnings.warn(hidden(name, place), stacklevel=3)


def place_of(name: str) -> str | None:
    """The file that an import of a name reads, or has read; None where there is none."""
    if name in sys.modules:
        return getattr(sys.modules[name], "__file__", None)
    spec = find_spec(name)
    return spec.origin if spec is not None and spec.has_location else None


def hidden(name: str, place: str) -> str:
    """What is said of a package that is hidden."""
    folder = os.path.dirname(place) if os.path.basename(place) == "__init__.py" else place
    return (
        f"alphadx's package `{name}` is hidden by {folder}, which Python finds first. Two ways around: the command "
        f"`alphadx` works in any folder; in Python, start where there is no such name, or with `python -P`, which "
        "leaves the script's folder out of the search."
    )


def _folder_above(file: str | None) -> str:
    """The folder in which a package lies, whose `__init__.py` this is; of another module, none of those."""
    if file is None or os.path.basename(file) not in ("__init__.py", "__init__.pyc"):
        return file or ""
    return os.path.dirname(os.path.dirname(os.path.realpath(file)))

"""Packages whose public names are imported when they are first used.

To ask for the help of a command, or for one function, need not load torch, Lightning and all that they load.
"""

import ast
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

PLACES = "_lazy_places"


class LazyPackage(ModuleType):
    """A package that imports a public name when it is asked for, and a submodule, too."""

    def __getattr__(self, name: str) -> Any:
        """The public name, or the submodule; both are there from then on."""
        places = vars(self).get(PLACES, {})
        if name in places:
            value = getattr(import_module(places[name]), name)
            setattr(self, name, value)
            return value
        if not name.startswith("_") and find_spec(f"{self.__name__}.{name}") is not None:
            return import_module(f"{self.__name__}.{name}")
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}", name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        """Import sets a submodule beside its package; where a function of it has that name, the function stays."""
        if isinstance(value, ModuleType) and vars(self).get(PLACES, {}).get(name) == value.__name__:
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        """All names, imported or not."""
        return sorted({*super().__dir__(), *vars(self).get(PLACES, {})})


def lazy(package: str) -> None:
    """Make a package lazy, whose names are those that its `if TYPE_CHECKING:` imports.

    Type checkers read the imports there; this reads them in the same place, so that they stand in one.

    Args:
        package: its `__name__`.
    """
    module = sys.modules[package]
    source = module.__loader__.get_source(package)  # type: ignore[union-attr]
    vars(module)[PLACES] = dict(_names(ast.parse(source)))
    module.__class__ = LazyPackage


def _names(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Public names, each with the module that it lies in."""
    for block in tree.body:
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING":
            for node in block.body:
                if isinstance(node, ast.ImportFrom):
                    yield from ((alias.name, str(node.module)) for alias in node.names)

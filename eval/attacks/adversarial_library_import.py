"""The package adv-lib, imported when an attack of it is asked for."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType


def attacks_of_adv_lib() -> ModuleType:
    """The module `adv_lib.attacks`.

    Raises:
        ValueError: if it cannot be imported, saying how to install it.
    """
    try:
        with warnings.catch_warnings(), _without_plots():
            # adv-lib 0.2.8 compares versions with distutils, and has TeX in docstrings.
            warnings.filterwarnings("ignore", "distutils Version classes are deprecated", DeprecationWarning)
            warnings.filterwarnings("ignore", ".*invalid escape sequence")
            return import_module("adv_lib.attacks")
    except ImportError as error:
        raise ValueError(
            f"This attack needs adv-lib: pip install --no-deps 'adv-lib>=0.2.8,<0.3'. Found: {error}"
        ) from error


@contextmanager
def _without_plots() -> Iterator[None]:
    """An empty module in place of visdom, which adv-lib imports to plot the course of an attack, where it is missing.

    Its archive does not build with setuptools of 2026, so that adv-lib is installed without it.
    """
    if "visdom" in sys.modules or find_spec("visdom") is not None:
        yield
        return
    sys.modules["visdom"] = ModuleType("visdom")
    try:
        yield
    finally:
        del sys.modules["visdom"]

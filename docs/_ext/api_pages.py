"""One page per package with every public name of it, from `__all__`; a name without a docstring is a warning."""

import inspect
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging

LOG = logging.getLogger(__name__)
PACKAGES = {
    "alignment": "Measure a direction",
    "generators": "Find where the direction should point",
    "training": "Train with it",
    "training.data": "Data sets",
    "eval": "Judge the result",
    "eval.attacks": "Attacks by name",
    "eval.records": "Quantities, subjects and records",
    "eval.studies": "Grids of models",
    "eval.report": "Tables, pictures and the page",
}
"""Packages whose public names are documented, with what each is for."""
FOLDER = "api"


def write_pages(app: Sphinx) -> None:
    """Write the pages before Sphinx looks for them."""
    folder = Path(app.srcdir) / FOLDER
    folder.mkdir(exist_ok=True)
    for name, purpose in PACKAGES.items():
        write_if_new(folder / f"{name}.md", page(name, purpose))


def page(package: str, purpose: str) -> str:
    """The page of a package."""
    module = import_module(package)
    summary = inspect.cleandoc(module.__doc__ or "")
    entries = [entry(package, name, getattr(module, name)) for name in sorted(module.__all__, key=str.lower)]
    return "\n\n".join([f"# `{package}`: {purpose[0].lower()}{purpose[1:]}", summary, *entries]) + "\n"


def entry(package: str, name: str, thing: Any) -> str:
    """The directive that documents a public name."""
    if not (inspect.isclass(thing) or inspect.isroutine(thing)):
        return directive("autodata", f"{home(package, name)}.{name}", ["no-value"])
    if not inspect.getdoc(thing):
        LOG.warning("%s.%s has no docstring", package, name)
    if inspect.isclass(thing):
        return directive("autoclass", f"{package}.{name}", ["members", "show-inheritance"])
    return directive("autofunction", f"{package}.{name}", [])


def home(package: str, name: str) -> str:
    """The module in which a value is documented, since a value does not know where it comes from."""
    inside = [module for module in sorted(sys.modules) if module.startswith(package.partition(".")[0] + ".")]
    for module in inside:
        if hasattr(sys.modules[module], name) and ("", name) in ModuleAnalyzer.for_module(module).find_attr_docs():
            return module
    LOG.warning("%s.%s has no docstring", package, name)
    return package


def spared(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Keep |a| an absolute value: reStructuredText would look for a substitution of that name."""
    lines[:] = [re.sub(r"(?<![`\\])\|", r"\\|", line) if "`|" not in line else line for line in lines]


def directive(kind: str, name: str, options: list[str]) -> str:
    """A directive of autodoc, whose content is reStructuredText."""
    lines = [f".. {kind}:: {name}", *(f"   :{option}:" for option in options)]
    return "\n".join(["```{eval-rst}", *lines, "```"])


def write_if_new(path: Path, content: str) -> None:
    """Write a page unless it says the same already, so that Sphinx reads only what has changed."""
    if not path.is_file() or path.read_text(encoding="utf-8") != content:
        path.write_text(content, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the pages."""
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", spared)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

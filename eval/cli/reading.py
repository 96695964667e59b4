"""What sources say of options and names, read without importing them.

To import the jobs takes ten seconds of torch and Lightning; their signatures and docstrings stand in the files.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from docstring_parser import Docstring, DocstringStyle, parse

ROOT = Path(__file__).parents[2]
"""Where the packages lie."""
Definition = ast.FunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Option:
    """An argument of a function, as its source has it.

    Attributes:
        name: as it is written there.
        kind: the text of its annotation.
        required: whether it has no default.
        told: what the docstring says of it.
    """

    name: str
    kind: str
    required: bool
    told: str

    @property
    def typed(self) -> str:
        """Its name as it is typed."""
        return self.name if "." in self.name else self.name.replace("_", "-")

    @property
    def is_list(self) -> bool:
        """Whether it takes several, written with commas."""
        return any(form in self.kind.lower() for form in ("list[", "sequence[", "epsilons"))

    @property
    def is_flag(self) -> bool:
        """Whether it is yes or no."""
        return self.kind == "bool"


@cache
def tree_of(file: str) -> ast.Module:
    """What a file of the packages says, such as "eval/cli/fill.py"."""
    return ast.parse((ROOT / file).read_text(encoding="utf-8"))


def options_of(file: str, name: str, prefix: str = "") -> list[Option]:
    """The arguments of a function, or of what makes an object of a class, that somebody can give by name."""
    found = _definition(file, name)
    told = {part.arg_name: " ".join((part.description or "").split()) for part in _docstring(found).params}
    return [
        Option(prefix + one.arg, _text(one.annotation), required, told.get(one.arg, ""))
        for one, required in _arguments(_maker(found))
    ]


def summary_of(file: str, name: str) -> str:
    """The first line of a function's docstring."""
    return _docstring(_definition(file, name)).short_description or ""


def keys_of(file: str, name: str) -> list[str]:
    """The keys of a mapping, or the texts of a tuple, that a file of the packages assigns to a name."""
    for node in tree_of(file).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            value = getattr(node, "value", None)
            parts = value.keys if isinstance(value, ast.Dict) else getattr(value, "elts", [])
            return [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    raise ValueError(f"{file} should assign {name}. Found no such name.")


def _definition(file: str, name: str) -> Definition:
    return next(node for node in tree_of(file).body if isinstance(node, Definition) and node.name == name)


def _text(annotation: ast.expr | None) -> str:
    return "" if annotation is None else ast.unparse(annotation)


def _docstring(node: Definition) -> Docstring:
    return parse(ast.get_docstring(node) or "", DocstringStyle.GOOGLE)


def _maker(node: Definition) -> ast.FunctionDef:
    if isinstance(node, ast.FunctionDef):
        return node
    return next(part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__")


def _arguments(function: ast.FunctionDef) -> Iterator[tuple[ast.arg, bool]]:
    """Arguments, each with whether it must be given."""
    given = function.args
    ordered = [one for one in given.args if one.arg != "self"]
    without = len(ordered) - len(given.defaults)
    yield from ((one, number < without) for number, one in enumerate(ordered))
    yield from ((one, default is None) for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True))

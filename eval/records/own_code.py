"""What a network computes beside its weights, so that a user's own that was edited is another subject."""

import dis
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn

from alignment.sisters import PACKAGES
from eval.records.identity import digest
from generators.checkpoints import bytes_of
from generators.checkpoints import digest as weights_digest

BOOKS = vars(nn.Module()).keys()
"""What every module has: its mode, hooks and parts. The state dict and `named_modules` give the latter."""
HOOKS = ("_forward_pre_hooks", "_forward_hooks")
WITHIN: Mapping[type, str] = {
    CellType: "cell_contents", MethodType: "__func__", classmethod: "__func__", property: "fget",
    staticmethod: "__func__",
}  # fmt: skip
"""Where the code lies that an object stands for."""


def is_own(module: nn.Module) -> bool:
    """Whether any part of a network is of a class that no installed package has."""
    return any(_is_own(type(part)) for part in module.modules())


def digest_of(value: type | FunctionType) -> str | None:
    """A text that differs when a user's own class or function does something else, see `code_digest`; else None."""
    if not _is_own(value):
        return None
    reader = _Reader()
    return digest([reader.of(value), *reader.all_written()])


def code_digest(module: nn.Module) -> str:
    """A text that differs when a network computes something else from the same weights.

    Looked at are the class and the attributes of each part, such as the slope of a LeakyReLU, a temperature, or a
    tensor that is no buffer; hooks of the forward pass; and the code of classes and functions that no installed
    package has, with the functions and values that they name. Comments do not count, and neither do names of files.
    Another version of Python has other code.

    Example:
        >>> code_digest(nn.LeakyReLU(0.1)) == code_digest(nn.LeakyReLU(0.1))
        True
        >>> code_digest(nn.LeakyReLU(0.1)) == code_digest(nn.LeakyReLU(0.2))
        False
    """
    reader = _Reader()
    return digest([reader.parts(module), *reader.all_written()])


class _Reader:
    """Reads objects as plain values, each of them once.

    Attributes:
        code: classes and functions of a user's own that were met, and not read yet.
    """

    def __init__(self) -> None:
        self.code: list[Any] = []
        self._seen: dict[int, Any] = {}  # holds the objects, since the number of one that is gone is given again

    def parts(self, module: nn.Module) -> list[Any]:
        """Class and attributes of every part of a network, but for what its state dict holds."""
        self._seen[id(module)] = module
        return [[name, self.of(type(part)), self._attributes(part)] for name, part in module.named_modules()]

    def _attributes(self, part: nn.Module) -> Any:
        if isinstance(part, torch.jit.ScriptModule):
            code, constants = part.code_with_constants if hasattr(part, "forward") else ("", None)
            return [code, self.of(dict(constants.const_mapping) if constants else {})]  # weights of a frozen one
        own = _is_own(type(part))  # what others keep for themselves may be another number in each process
        kept = {name: value for name, value in vars(part).items() if name not in BOOKS}
        plain = {name: value for name, value in kept.items() if own or not name.startswith("_")}
        return self.of(plain | {name: [*vars(part)[name].values()] for name in HOOKS if vars(part).get(name)})

    def of(self, value: Any) -> Any:
        """A value as plain ones; of an object of a kind that is not known, the name of its class."""
        if isinstance(value, bool | int | float | str | None):
            return value
        if isinstance(value, Tensor):
            return sha256(bytes_of(value)).hexdigest()
        if isinstance(value, tuple):
            return [self.of(item) for item in value]
        if isinstance(value, set | frozenset):
            return sorted(map(repr, value))
        if isinstance(value, FunctionType | type):
            return self._name(value)
        if type(value) in WITHIN:
            return self.of(getattr(value, WITHIN[type(value)]))
        if id(value) in self._seen:
            return "as before"
        self._seen[id(value)] = value
        return self._object(value)

    def _object(self, value: Any) -> Any:
        """What may hold itself."""
        if isinstance(value, Mapping):
            return {str(key): self.of(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.of(item) for item in value]
        if isinstance(value, nn.Module):
            return [weights_digest(value), self.parts(value)]
        if isinstance(value, partial):
            return [self.of(part) for part in (value.func, value.args, value.keywords)]
        if isinstance(value, CodeType):
            return [sha256(value.co_code).hexdigest(), [*value.co_names], self.of(value.co_consts)]
        return [
            self.of(type(value)),
            self.of(vars(value)) if _is_own(type(value)) and hasattr(value, "__dict__") else {},
        ]

    def _name(self, value: Any) -> str:
        """The name of a class or function, which is put down to be read where it is a user's own."""
        if _is_own(value) and id(value) not in self._seen:
            self._seen[id(value)] = value
            self.code.append(value)
        return f"{value.__module__}.{value.__qualname__}".removeprefix("__main__.")

    def all_written(self) -> Iterator[Any]:
        """The code that was put down to be read, and what that names."""
        while self.code:
            yield self.written(self.code.pop(0))

    def written(self, value: Any) -> Any:
        """The code of a class or function, with the values and functions that it names."""
        if isinstance(value, type):
            kept = {name: item for name, item in vars(value).items() if callable(item) or not name.startswith("__")}
            return self.of((value.__bases__, kept))
        code, known = value.__code__, value.__globals__
        named = {name: known[name] for name in _names(code) if name in known}
        cells = tuple(cell for cell in value.__closure__ or () if cell != CellType())
        return self.of((code, value.__defaults__, value.__kwdefaults__, cells, named))


def _names(code: CodeType) -> list[str]:
    """Names of globals in the code of a function and of those within it."""
    inner = [name for constant in code.co_consts if isinstance(constant, CodeType) for name in _names(constant)]
    own = [step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")]
    return sorted({*own, *inner})


def _is_own(value: Any) -> bool:
    """Whether a class or function is of no installed package, and none of ours."""
    name = value.__module__ or ""
    file = getattr(sys.modules.get(name), "__file__", None)
    if name.partition(".")[0] in PACKAGES or (file is None and name != "__main__"):
        return False
    place = Path(file or "notebook").resolve()
    installed = {"site-packages", "dist-packages"} & {*place.parts}
    return not installed and Path(sysconfig.get_path("stdlib")).resolve() not in place.parents

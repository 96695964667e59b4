"""Lists on the command line: `a,b` in place of `[a,b]`, whose brackets a shell may take for its own."""

from collections.abc import Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

LIST_MARKS = "[]{}()"
"""A value with one of them is left as it is."""


def bracketed(value: str, hint: Any) -> str:
    """A value in brackets, if its type is a list and it has none.

    Example:
        >>> bracketed("8/255,0.5", list[str]), bracketed("pgd", list[str] | None), bracketed("[1]", list[int])
        ('[8/255,0.5]', '[pgd]', '[1]')
        >>> bracketed("3", list[str] | int), bracketed("0.5,0.25", str), bracketed("{L2: [1]}", list[float] | dict)
        ('3', '0.5,0.25', '{L2: [1]}')
    """
    kinds = [*_kinds(hint)]
    several = [kind for kind in kinds if kind is not str and issubclass(kind, Sequence)]
    others = [kind for kind in kinds if kind not in several and not issubclass(kind, Mapping | NoneType)]
    plain = value not in ("", "null") and not {*value} & {*LIST_MARKS}
    return f"[{value}]" if several and plain and ("," in value or not others) else value


def _kinds(hint: Any) -> Iterator[type]:
    """The types of a union, without what they hold."""
    if get_origin(hint) in (Union, UnionType):
        for part in get_args(hint):
            yield from _kinds(part)
    elif isinstance(kind := get_origin(hint) or hint, type):
        yield kind
    elif kind is not None:  # such as Literal
        yield object

"""Residual estimators by name, and the nearest training example."""

from collections.abc import Mapping
from typing import Any

from generators import NearestExample
from training.data.split import Split

HALVES = {"nearest": slice(None), "nearest-even": slice(0, None, 2), "nearest-odd": slice(1, None, 2)}
"""Which training examples the nearest one is looked for among."""


def named_residual(name: Any, options: Mapping[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
    """Name and options of a residual estimator, whichever way they are written.

    Args:
        name: a name or path, or `{"residual": …, "options": {…}}`.
        options: further ones.

    Raises:
        ValueError: for another form, or options of an estimator that is not read from a file and so takes none.

    Example:
        >>> named_residual({"residual": "cgan.ckpt", "options": {"method": "ours"}})
        ('cgan.ckpt', {'method': 'ours'})
    """
    given = dict(options or {})
    if isinstance(name, Mapping):
        inner = name.get("options") or {}
        if {*map(str, name)} - {"residual", "options"} or "residual" not in name or not isinstance(inner, Mapping):
            raise ValueError(f"`residual` should be a name, or hold `residual` and `options`. Found {dict(name)}.")
        name, given = name["residual"], {**inner, **given}
    if not isinstance(name, str):
        raise ValueError(f"`residual` should be a name or a path. Found {name!r}.")
    if given and name in ("auto", "exact", *HALVES):
        raise ValueError(f"`options` should be left out for {name!r}. Found {', '.join(sorted(given))}.")
    return name, given


def nearest_example(split: Split, name: str) -> NearestExample:
    """The nearest example of the target class in a split.

    Args:
        split: where it is looked for.
        name: one of `HALVES`, which says among which samples.
    """
    examples = split.__getitems__(range(len(split))[HALVES[name]])
    estimator = NearestExample(examples.x, examples.y)
    estimator.name = name
    return estimator

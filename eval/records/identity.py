"""Plain values, and the digest by which equal things are found to be equal."""

import json
import math
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from training.strength import Strength

LONGEST = 120
"""Bytes of a name that `slug` keeps; most file systems allow 255 in all."""


def plain(value: Any) -> Any:
    """The same in values that JSON knows.

    A strength becomes its number and how it was written; numbers that JSON does not know become the texts "inf",
    "-inf" and "nan"; what is no plain value becomes its text.
    """
    if isinstance(value, Strength):
        return {"value": float(value), "written": value.written}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def digest(value: Any) -> str:
    """A text of 16 characters that differs when anything in the value does; the order of keys does not matter.

    Example:
        >>> digest({"a": 1, "b": (2, 3)}) == digest({"b": [2, 3], "a": 1})
        True
        >>> digest({"a": 1}) == digest({"a": 2})
        False
    """
    return sha256(json.dumps(plain(value), sort_keys=True).encode()).hexdigest()[:16]


def slug(text: str) -> str:
    """The text as a part of a file's name; texts that differ may share it, so a digest should stand beside it.

    Example:
        >>> slug("MNIST-3/5"), slug("AT + AGR")
        ('MNIST-35', 'AT_+_AGR')
    """
    kept = "".join(c for c in text.replace(" ", "_") if c not in '/\\:*?"<>|\0' and c.isprintable())
    short = kept.encode("utf-8", "ignore")[:LONGEST].decode("utf-8", "ignore")
    return short.strip(".") or "unnamed"

"""How many classes may be the closest one: all of few, and of many those with the closest logits."""

import warnings
from numbers import Integral
from typing import Any, Literal

Candidates = int | Literal["all"] | None
"""How many classes, those with the closest logits; "all"; or None, which is all of few and 24 of many."""

DEFAULT = 24
"""Candidates among many classes: with ∇ℓ itself, α_Δx then takes 25 gradients a sample."""


def candidates_of(candidates: Any, classes: int) -> int | None:
    """How many candidates there are where nothing else is said; None for all other classes.

    Args:
        candidates: how many; "all", which says its price if it takes more gradients than the default; or None.
        classes: C.

    Raises:
        ValueError: if it is no whole number in [1, C − 1].

    Example:
        >>> candidates_of(None, 10), candidates_of(None, 1000), candidates_of(3, 1000)
        (None, 24, 3)
    """
    if candidates is None:
        return DEFAULT if classes - 1 > DEFAULT else None
    if candidates == "all":
        if classes - 1 > DEFAULT:
            warnings.warn(_price(classes), stacklevel=2)
        return None
    if not (isinstance(candidates, Integral) and 1 <= int(candidates) < classes):
        raise ValueError(
            f"`candidates` should lie in [1, {classes - 1}]. Found {candidates!r}. For every class there is 'all'."
        )
    return int(candidates)


def recorded(candidates: Candidates, classes: int) -> Candidates:
    """What a record says: None where every class is looked at and there are few, which is what old records say.

    Example:
        >>> recorded(None, 10), recorded("all", 10), recorded(None, 1000), recorded("all", 1000)
        (None, None, 24, 'all')
    """
    many = classes - 1 > DEFAULT
    if candidates is None:
        return DEFAULT if many else None
    return candidates if many or candidates != "all" else None


def _price(classes: int) -> str:
    return (
        f"The closest of {classes:,} classes is looked for among all: {classes - 1:,} gradients a sample. "
        f"The default takes {DEFAULT}, the classes with the closest logits."
    )

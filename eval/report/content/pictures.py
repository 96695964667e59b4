"""The pictures of a page, from the files that are saved beside it."""

import re
from collections.abc import Mapping

import pandas as pd

from eval.report.content.alts import alt, data_of
from eval.report.content.layout import CURVES, caption_of
from eval.report.content.parts import Picture
from eval.report.content.svg import as_data, inline

RADII = ("ε50%", "τ50%")
"""Beginnings of the columns whose numbers lie on curves."""
UNFIT = re.compile(r"[^A-Za-z0-9-]+")


def by_name(plots: Mapping[str, bytes]) -> dict[str, dict[str, bytes]]:
    """Files by the name that they share and their ending.

    Example:
        >>> by_name({"a.b.svg": b"1", "a.b.pdf": b"2"})
        {'a.b': {'svg': b'1', 'pdf': b'2'}}
    """
    found: dict[str, dict[str, bytes]] = {}
    for file, content in plots.items():
        name, _, ending = file.rpartition(".")
        found.setdefault(name, {})[ending] = content
    return found


def picture(name: str, forms: Mapping[str, bytes], number: int, heading: str, frame: pd.DataFrame) -> Picture | None:
    """A picture as SVG, or as PNG where there is none; None where there is neither.

    Args:
        name: of its files, without ending.
        forms: its files by their endings.
        number: that no other picture of the page has.
        heading: below which it stands.
        frame: the table that says its numbers.
    """
    caption = caption_of(name, heading, data_of(name, frame))
    told = alt(name, caption, frame, RADII if heading == CURVES else ())
    files = [f"{name}.{ending}" for ending in forms]
    if "svg" in forms:
        return Picture(name, caption, told, inline(forms["svg"], anchor(f"p{number}"), told), files)
    return Picture(name, caption, told, as_data(forms["png"], told), files) if "png" in forms else None


def anchor(text: str) -> str:
    """A name to link to.

    Example:
        >>> anchor("Local linearity (paper 1, Lemma 1)")
        'local-linearity-paper-1-lemma-1'
    """
    return UNFIT.sub("-", text).strip("-").lower() or "part"

"""How every picture looks: sized for the columns of a paper, with the same letters and lines everywhere."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl

COLUMN = 3.25
"""Inches, of a picture in one column of a paper."""
PAGE = 6.75
"""Inches, of a picture across both columns."""
RASTER = 300
"""Dots per inch of what is drawn as a raster within a picture: clouds of many points."""
CLOUD = 500
"""Points from which on they are drawn as a raster."""
LETTERS = 8
"""Points, of all letters but those of titles."""
LETTER = 0.068
"""Inches, of a letter of that size on average."""
LINE = 0.15
"""Inches, from one line of such letters to the next."""
STYLE: Any = {
    "axes.grid": True,
    "axes.labelsize": LETTERS,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": LETTERS,
    "errorbar.capsize": 2,
    "figure.titlesize": LETTERS + 1,
    "font.size": LETTERS,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "image.composite_image": False,
    "image.interpolation": "none",  # a picture of 28 × 28 pixels is kept as these pixels
    "legend.fontsize": LETTERS,
    "legend.frameon": False,
    "legend.handlelength": 2.4,  # in which dashes are told apart
    "legend.title_fontsize": LETTERS,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "pdf.fonttype": 42,  # letters as TrueType, as publishers want them
    "savefig.dpi": RASTER,
    "savefig.facecolor": "white",  # legible wherever it is pasted
    "svg.fonttype": "none",  # letters as text: small, to be searched, and read aloud
    **{f"{axis}tick.{name}": value for axis in "xy" for name, value in (("labelsize", LETTERS), ("major.size", 2.5))},
    **{f"{axis}tick.major.width": 0.6 for axis in "xy"},
}


def style() -> AbstractContextManager[None]:
    """In which pictures are made and saved."""
    return mpl.rc_context(STYLE)


@dataclass(frozen=True)
class Look:
    """How what belongs to one recipe is drawn: told apart by colour, and without colours by lines and marks."""

    color: str
    linestyle: Any
    marker: str

    @property
    def line(self) -> dict[str, Any]:
        """Of a line without marks."""
        return {"color": self.color, "linestyle": self.linestyle}

    @property
    def marked(self) -> dict[str, Any]:
        """Of a line with marks."""
        return self.line | {"marker": self.marker}


COLOURS = {"B": "#111827", "Lα": "#d97706", "P": "#1d4ed8"}
"""Of paper 1's recipes, also far apart in lightness."""
OTHERS = ("#059669", "#9333ea", "#dc2626", "#0891b2", "#be185d", "#65a30d", "#4338ca", "#92400e")
STYLES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
MARKERS = "os^Dvp*"


def looks_of(recipes: Iterable[str]) -> list[Look]:
    """A look for each of several recipes, those of paper 1 always the same, and no two alike."""
    known = {name: Look(colour, STYLES[i], MARKERS[i]) for i, (name, colour) in enumerate(COLOURS.items())}
    chosen = list(recipes)
    others = iter(range(len(chosen)))
    return [known.get(recipe) or _other(next(others)) for recipe in chosen]


def _other(place: int) -> Look:
    return Look(OTHERS[place % len(OTHERS)], STYLES[place % len(STYLES)], MARKERS[place % len(MARKERS)])

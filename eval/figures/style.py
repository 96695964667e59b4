"""How every picture looks: sized for the columns of a paper, with the same letters and lines everywhere."""

from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl

COLUMN = 3.25
"""Inches, of a picture in one column of a paper."""
PAGE = 6.75
"""Inches, of a picture across both columns."""
RASTER = 300
"""Dots per inch of what is drawn as a raster within a picture: clouds of many points."""
STYLE: Any = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.alpha": 0.25,
    "image.interpolation": "none",  # a picture of 28 × 28 pixels is kept as these pixels
    "pdf.fonttype": 42,  # letters as TrueType, as publishers want them
    "savefig.dpi": RASTER,
    "savefig.facecolor": "white",  # legible wherever it is pasted
    "svg.fonttype": "none",  # letters as text: small, to be searched, and read aloud
}


def style() -> AbstractContextManager[None]:
    """In which pictures are made and saved."""
    return mpl.rc_context(STYLE)

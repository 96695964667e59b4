"""How a picture is kept: as vectors, and in the same bytes each time."""

import re
from io import BytesIO
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from eval.figures.style import style

METADATA: dict[str, dict[str, Any]] = {
    "svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
    "pdf": dict.fromkeys(("CreationDate", "Creator", "Producer")),
}
"""What a file is to say of itself by its ending: nothing, since dates and versions differ."""


def saved(name: str, figure: Figure, *, pdf: bool = True) -> dict[str, bytes]:
    """A picture as SVG, for pages, and as PDF, for papers, by the names of its files.

    Args:
        name: of the picture; in the SVG it begins each id, so that several pictures can stand in one page.
        figure: which loses its layout engine, so that the layout is found once.
        pdf: whether papers are to have it; letters are put into each file anew, which takes half of the time.
    """
    with style(), mpl.rc_context({"svg.hashsalt": name}):
        if (layout := figure.get_layout_engine()) is not None:
            layout.execute(figure)
        figure.set_layout_engine("none")
        svg = _with_ids_of(name, _rounded(_bytes(figure, "svg").decode()))
        return {f"{name}.svg": svg.encode()} | ({f"{name}.pdf": _bytes(figure, "pdf")} if pdf else {})


def _bytes(figure: Figure, form: str) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format=form, metadata=METADATA[form])
    return buffer.getvalue()


def _rounded(svg: str) -> str:
    """Paths to a hundredth of a point, which halves a file.

    Example:
        >>> _rounded('<path d="M 52.320243 -0.001234"/>'), _rounded('<text y="52.320243"/>')
        ('<path d="M 52.32 -0.00"/>', '<text y="52.320243"/>')
    """
    return re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), svg)


def _with_ids_of(name: str, svg: str) -> str:
    """Ids that no other picture has.

    Example:
        >>> _with_ids_of("a", '<path id="p1"/><use xlink:href="#p1" clip-path="url(#p2)"/>')
        '<path id="a-p1"/><use xlink:href="#a-p1" clip-path="url(#a-p2)"/>'
    """
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)

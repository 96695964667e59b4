"""What the figures' pictures share: panels beside each other, a colour for each recipe, models by data set."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from eval.records import Record
from eval.tables import Row, rows

STYLE: Any = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25}
COLOURS = (
    "#2563eb",
    "#d97706",
    "#059669",
    "#9333ea",
    "#dc2626",
    "#0891b2",
    "#6b7280",
    "#be185d",
    "#65a30d",
    "#92400e",
)


def panels(across: int, down: int = 1, width: float = 4.2, height: float = 3.2) -> tuple[Figure, list[Axes]]:
    """A figure with a grid of axes, row by row."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width * across, height * down), layout="constrained", dpi=150)
        axes = figure.subplots(down, across, squeeze=False).flatten()
    return figure, list(axes)


def rows_by_data(chosen: Sequence[Record]) -> dict[str, list[Row]]:
    """Models of one recipe together, under the name of what they were measured on."""
    found: dict[str, list[Row]] = {}
    for row in rows(chosen):
        found.setdefault(row.data, []).append(row)
    return found


def coloured(chosen: Sequence[Row]) -> list[tuple[Row, str]]:
    """Each row with a colour, which begin anew after ten."""
    return [(row, COLOURS[number % len(COLOURS)]) for number, row in enumerate(chosen)]


def over_epochs(axis: Axes) -> None:
    """Let whole epochs stand below."""
    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def literal(text: str) -> str:
    """Text that matplotlib draws as it is: no formula, and no legend entry that is left out."""
    escaped = text.replace("$", r"\$")
    return f"\u200b{escaped}" if escaped.startswith("_") else escaped

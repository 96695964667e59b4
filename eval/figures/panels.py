"""What all pictures share: panels, a colour for each recipe, names as they are, models by data set."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import cycle
from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from eval.records import Record
from eval.tables import Row, rows

COLOURS = {"B": "#6b7280", "Lα": "#d97706", "P": "#2563eb"}
OTHERS = ("#059669", "#9333ea", "#dc2626", "#0891b2", "#be185d", "#65a30d", "#4338ca", "#92400e")
STYLES = ("-", "--", ":", "-.")
STYLE: Any = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25}
ACROSS = 3
"""Panels in a line where nothing says how many."""


def panels(across: int, down: int = 1, width: float = 4.2, height: float = 3.2) -> tuple[Figure, list[Axes]]:
    """A picture of panels, line by line."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width * across, height * down), layout="constrained", dpi=150)
        axes = figure.subplots(down, across, squeeze=False).flatten()
    return figure, list(axes)


def panels_for(count: int) -> tuple[Figure, list[Axes]]:
    """As many panels as are wanted, in lines of three."""
    across = min(count, ACROSS)
    figure, axes = panels(across, -(-count // across))
    for axis in axes[count:]:
        axis.remove()
    return figure, axes[:count]


def literal(text: str, width: int = 1000) -> str:
    r"""Text that matplotlib draws as it is: no formula, no legend entry that is left out, and no line too long.

    Args:
        text: such as the name of a recipe.
        width: characters in a line.

    Example:
        >>> literal("$a$"), literal("B")
        ('\\$a\\$', 'B')
        >>> literal("a long name", width=6)
        'a long\nname'
    """
    escaped = fill(text, width).replace("$", r"\$")
    return f"\u200b{escaped}" if escaped.startswith("_") else escaped


def colours_of(recipes: Iterable[str]) -> list[str]:
    """A colour for each of several recipes, those of paper 1 always the same."""
    others = cycle(OTHERS)
    return [COLOURS.get(recipe) or next(others) for recipe in recipes]


def coloured(chosen: Sequence[Row]) -> list[tuple[Row, str]]:
    """Each row with its colour."""
    return [*zip(chosen, colours_of(row.recipe for row in chosen), strict=True)]


def lined(chosen: Sequence[Row]) -> list[tuple[Row, dict[str, Any]]]:
    """Each row with colour and style of its lines, no two alike: broken where a colour comes again."""
    found, seen = [], Counter[str]()
    for row, colour in coloured(chosen):
        found.append((row, {"color": colour, "linestyle": STYLES[seen[colour] % len(STYLES)]}))
        seen[colour] += 1
    return found


def legend_below(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all panels, below them, in as many lines as the width asks for."""
    named = {label: line for axis in axes for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    longest = max(map(len, named), default=1)
    across = max(1, min(len(named), int(figure.get_figwidth() / (0.45 + 0.065 * longest))))
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=across, frameon=False, fontsize=7)


def levels(count: int) -> list[str]:
    """Colours of values in their order, from dark to bright."""
    return [to_hex(colour) for colour in mpl.colormaps["viridis"](np.linspace(0.05, 0.9, count))]


def rows_by_data(chosen: Sequence[Record]) -> dict[str, list[Row]]:
    """Models of one recipe together, under the name of what they were measured on."""
    found: dict[str, list[Row]] = {}
    for row in rows(chosen):
        found.setdefault(row.data, []).append(row)
    return found


def over_epochs(axis: Axes) -> None:
    """Let whole epochs stand below."""
    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))

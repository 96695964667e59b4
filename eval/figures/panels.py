"""What all pictures share: panels, names as they are, titles and legends that fit, models by data set."""

from collections.abc import Iterable, Sequence
from textwrap import fill

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from eval.figures.style import COLUMN, LETTER, LINE, PAGE, Look, looks_of, style
from eval.records import Record
from eval.tables import Row, rows

ACROSS = 3
"""Panels in a line, at most."""
SQUARE = 0.75
"""Height of a panel in parts of its width."""
HIGHEST, LOWEST = 2.4, 1.7
"""Inches, of a panel."""
BRIGHTEST = 0.78
"""Part of the scale of colours at which a line on white can still be seen."""


def panels(across: int, down: int = 1, height: float | None = None) -> tuple[Figure, list[Axes]]:
    """A picture of panels, line by line: one panel fills a column of a paper, several the whole page.

    Args:
        across: in a line.
        down: lines.
        height: of a panel, in inches.
    """
    width = COLUMN if across == 1 else PAGE
    high = height or min(HIGHEST, max(LOWEST, SQUARE * width / across))
    with style():
        figure = Figure(figsize=(width, high * down), layout="constrained")
        axes = figure.subplots(down, across, squeeze=False).flatten()
    return figure, list(axes)


def panels_for(count: int, height: float | None = None) -> tuple[Figure, list[Axes]]:
    """As many panels as are wanted, in lines of three; four in two lines of two."""
    across = 2 if count == 4 else min(count, ACROSS)
    figure, axes = panels(across, -(-count // across), height)
    for axis in axes[count:]:
        axis.remove()
    return figure, axes[:count]


def titled(figure: Figure, text: str) -> None:
    """A title above all panels, in as many lines as the width asks for; the panels keep their height."""
    told = literal(text, int(figure.get_figwidth() / (1.12 * LETTER)))
    figure.set_figheight(figure.get_figheight() + 0.05 + 1.12 * LINE * (1 + told.count("\n")))
    with style():
        figure.suptitle(told)


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
    """A colour for each of several recipes, that of its look."""
    return [look.color for look in looks_of(recipes)]


def lined(chosen: Sequence[Row]) -> list[tuple[Row, Look]]:
    """Each row with its look."""
    return [*zip(chosen, looks_of(row.recipe for row in chosen), strict=True)]


def legend_below(figure: Figure, axes: Iterable[Axes], title: str = "") -> None:
    """One legend for all panels, below them, in as many lines as the width asks for; the panels keep their height."""
    named = {label: line for axis in axes for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    if not named:
        return
    longest = max(map(len, named))
    across = max(1, min(len(named), int(figure.get_figwidth() / (0.55 + LETTER * longest))))
    lines = -(-len(named) // across) + bool(title)
    figure.set_figheight(figure.get_figheight() + 0.1 + LINE * lines)
    with style():
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=across, title=title or None)


def levels(count: int) -> list[str]:
    """Colours of values in their order, from dark to bright."""
    return [to_hex(colour) for colour in mpl.colormaps["viridis"](np.linspace(0.0, BRIGHTEST, count))]


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

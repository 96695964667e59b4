"""Sweeps over two settings as grids of numbers: one picture per measurement, one panel per recipe."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.figures.panels import literal, titled
from eval.figures.style import COLUMN, PAGE
from eval.records import Quantity, Record, Records
from eval.records.identity import slug
from eval.records.quantity import SHARES
from eval.report.sweeps import Sweep, axis_title, by_data_and_settings, derived, number_of, with_derived
from eval.tables.cells import number
from eval.tables.rows import column_titles, subjects_of

COLOURS = "viridis"
DARK = 0.5
"""Part of the scale below which numbers are white."""
EMPTY = "–"
FEW = 4
"""Values across that fit into a column of a paper."""


def sweep_grids(records: Records) -> dict[str, Figure]:
    """A picture per data set, two settings and measurement, by name; none where a setting has one value."""
    figures = {}
    for (data, names), groups in by_data_and_settings(records).items():
        if len(names) == 2 and all(len(_values(groups, name)) > 1 for name in names):
            for quantity, title, numbers in _measured(records, groups):
                name = f"sweep-grid-{slug('-'.join([data, *names, quantity.name]))}"
                name += f"-{quantity.key}" * (name in figures)  # of two that differ in a setting of the attack
                figures[name] = grid_figure(groups, quantity, title, numbers)
    return figures


def grid_figure(groups: Sequence[Sweep], quantity: Quantity, title: str, numbers: Sequence[Record]) -> Figure:
    """Means over seeds, the first setting to the right and the second upwards; colours are the same in all panels.

    Args:
        groups: of the same data set and settings.
        quantity: what was measured.
        title: of it, as in tables.
        numbers: its records.
    """
    names, recipes = groups[0].names, [group.recipe for group in groups]
    across, up = (_values(groups, name) for name in names)
    grids = [_grid([r for r in numbers if r.model.recipe == recipe], names, across, up) for recipe in recipes]
    width = COLUMN if len(groups) == 1 and len(across) <= FEW else PAGE
    figure = Figure(figsize=(width, 0.9 + max(1.2, 0.3 * len(up))), layout="constrained")
    axes = figure.subplots(1, len(groups), squeeze=False)[0]
    low, high = _ends(grids)
    for axis, recipe, grid in zip(axes, recipes, grids, strict=True):
        image = axis.imshow(grid, cmap=COLOURS, vmin=low, vmax=high, origin="lower", aspect="auto")
        _write(axis, grid, quantity, low, high)
        _label(axis, names, across, up)
        axis.set_title(literal(recipe, 30))
    figure.colorbar(image, ax=axes, label=title)
    titled(figure, f"{groups[0].data}: {title} over {' and '.join(map(axis_title, names))}")
    return figure


def _measured(records: Records, groups: Sequence[Sweep]) -> list[tuple[Quantity, str, list[Record]]]:
    """What has a column in the table, with its records; a title that several data sets share is one."""
    extra = subjects_of(derived(records, groups))
    found = [r for group in groups for row in group.rows for r in with_derived(row, extra).records]
    titles = column_titles(found)
    ordered = sorted(titles, key=lambda quantity: quantity.rank)
    first = {titles[quantity]: quantity for quantity in reversed(ordered)}
    titled = dict.fromkeys(titles[quantity] for quantity in ordered)
    return [(first[title], title, [r for r in found if titles[r.quantity] == title]) for title in titled]


def _grid(numbers: Sequence[Record], names: Sequence[str], across: Sequence[str], up: Sequence[str]) -> np.ndarray:
    """Means over seeds, `(up, across)`, of shares in per cent; NaN where nothing was trained."""
    found: dict[tuple[str, ...], list[float]] = {}
    for record in numbers:
        factor = 100 if record.quantity.kind in SHARES else 1
        found.setdefault(tuple(map(record.model.value_of, names)), []).append(factor * record.value)
    return np.array([[float(np.mean(found.get((x, y), [math.nan]))) for x in across] for y in up])


def _write(axis: Axes, grid: np.ndarray, quantity: Quantity, low: float, high: float) -> None:
    """The number of each cell, as in tables, in black or white."""
    factor = 100 if quantity.kind in SHARES else 1
    for (row, column), value in np.ndenumerate(grid):
        told = EMPTY if math.isnan(value) else number(quantity, value / factor)
        dark = math.isfinite(value) and high > low and (value - low) / (high - low) < DARK
        colour = "white" if dark else "black"
        axis.text(column, row, told, ha="center", va="center", color=colour)


def _label(axis: Axes, names: Sequence[str], across: Sequence[str], up: Sequence[str]) -> None:
    axis.set_xticks(range(len(across)), [*map(literal, across)])
    axis.set_yticks(range(len(up)), [*map(literal, up)])
    axis.set(xlabel=literal(axis_title(names[0])), ylabel=literal(axis_title(names[1])))


def _values(groups: Sequence[Sweep], name: str) -> list[str]:
    """The values of a setting: numbers first, in their order, then words."""
    found = {row.records[0].model.value_of(name): None for group in groups for row in group.rows}
    placed = {text: number_of(text) for text in found}
    return sorted(found, key=lambda text: (placed[text] is None, placed[text] or 0.0, text))


def _ends(grids: Sequence[np.ndarray]) -> tuple[float, float]:
    """The ends of the scale of colours."""
    values = np.concatenate([grid[np.isfinite(grid)] for grid in grids])
    return (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)

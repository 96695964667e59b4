"""Accuracy against the strength of an attack: the survival function of the radii, with ε50% marked."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.figures.panels import legend_below, levels, lined, literal, panels_for, titled
from eval.figures.style import COLOURS, MARKERS, Look, looks_of
from eval.records import Quantity, Record, Records
from eval.records.quantity import NORMS, RADII
from eval.report.sweeps import Sweep
from eval.tables.cells import deviation
from eval.tables.rows import Row, column_titles

STEPS = 200
"""Strengths at which a curve is drawn."""
MANY = 12
"""Models in one picture from which on they are all drawn alike, without names."""
CROWDED = 60
"""Curves in one panel from which on they are lines alone, without the band between what failed and what fooled."""
ACCURACY = "accuracy under attack, %"


def curves(records: Records, chosen: list[Row]) -> Figure:
    """One panel per attack, one line per model; marks are ε50% of a recipe, ± over its seeds or with its interval."""
    title = f"{chosen[0].data}: accuracy against the strength of the attack; marks are ε50%"
    if len(chosen) > MANY:
        alike = Look(COLOURS["P"], "-", "")
        return _survivals(
            records, [(row, alike) for row in chosen], f"{title.partition(';')[0]}, {len(chosen)} models"
        )
    return _survivals(records, lined(chosen), title)


def sweep_curves(records: Records, group: Sweep, chosen: list[Row]) -> Figure:
    """One panel per attack, one line per model, coloured by its setting: paper 1, Figure S9, at several settings."""
    named = [replace(row, recipe=row.records[0].model.told(group.names)) for row in chosen]
    radii = [replace(row, records=[r for r in row.records if r.quantity.kind in RADII]) for row in named]
    colours = levels(len(radii))
    looks = [Look(colour, "-", MARKERS[place % len(MARKERS)]) for place, colour in enumerate(colours)]
    title = f"{group.data}, {group.title}: accuracy against the strength of the attack; marks are ε50%"
    return _survivals(records, [*zip(radii, looks, strict=True)], title)


def attacks(records: Records, row: Row, chosen: list[Record]) -> Figure:
    """Every attack on one model, one panel per norm."""
    titles = column_titles(chosen)
    groups: dict[str, list[Record]] = {}
    for record in sorted(chosen, key=lambda record: record.quantity.rank):
        norm = record.quantity.norm
        groups.setdefault(f"ε, {NORMS[norm]}" if norm else "1/τ", []).append(record)
    figure, axes = panels_for(len(groups))
    for axis, (label, group) in zip(axes, groups.items(), strict=True):
        names = [titles[record.quantity].partition(" ")[2] for record in group]
        for name, record, look in zip(names, group, looks_of(names), strict=True):
            survival(axis, records.per_sample(record), look, name)
            _marked(axis, [record], look)
        _finished(axis, label)
        axis.legend()
    axes[0].set_ylabel(ACCURACY)
    titled(figure, f"{row.data}, {row.recipe}, seed {chosen[0].model.seed}: accuracy under every attack")
    return figure


def _survivals(records: Records, chosen: Sequence[tuple[Row, Look]], title: str) -> Figure:
    titles = column_titles(record for row, _ in chosen for record in row.records)
    figure, axes = panels_for(len(titles))
    crowded = sum(len(row.records) for row, _ in chosen) > CROWDED * len(titles)
    for axis, quantity in zip(axes, sorted(titles, key=lambda quantity: quantity.rank), strict=True):
        for row, look in chosen:
            drawn = [record for record in row.records if record.quantity == quantity]
            for number, record in enumerate(drawn):
                named = number == 0 and look.marker
                label = literal(row.recipe) if named else None
                survival(axis, records.per_sample(record), look, label, band=not crowded)
            _marked(axis, drawn, look)
        _finished(axis, _strength(quantity, titles[quantity]))
    axes[0].set_ylabel(ACCURACY)
    legend_below(figure, axes)
    titled(figure, title)
    return figure


def _strength(quantity: Quantity, title: str) -> str:
    return literal(f"{'1/τ' if quantity.kind == 'tau50' else 'ε'}, {title.partition(' ')[2]}", 44)


def _finished(axis: Axes, label: str) -> None:
    axis.axhline(50, color="black", lw=0.6, ls=":")
    axis.set(xlim=(0, None), ylim=(0, 101), yticks=range(0, 101, 25), xlabel=label)


def survival(axis: Axes, outcome: pd.DataFrame, look: Look, label: str | None, *, band: bool = True) -> None:
    """Share of radii above ε: between the strengths seen to fail and to succeed, with a line in the middle.

    A look without mark is one of many, of which the line alone is drawn; so it is where no band is wanted.
    """
    low, high = outcome.failed_at.to_numpy(), outcome.radius.to_numpy()
    top = float(np.quantile(high[np.isfinite(high)], 0.98)) if np.isfinite(high).any() else 1.0
    grid = np.linspace(0, 1.02 * top or 1.0, STEPS)
    shares = _left(middles(outcome), grid)
    if not look.marker:
        axis.plot(grid, shares, **look.line, lw=0.5, alpha=0.6, rasterized=True)
        return
    if band:
        withstood = np.where(grid == 0, shares, _left(low, grid))
        axis.fill_between(grid, withstood, _left(high, grid), color=look.color, alpha=0.15, lw=0)
    axis.plot(grid, shares, **look.line, label=label, lw=None if band else 0.5)


def middles(outcome: pd.DataFrame) -> np.ndarray:
    """The radius of each sample, in the middle of its bracket; infinite where it was never reached.

    An attack that fails at one strength may find a smaller perturbation at another, which then is the radius.
    """
    high = outcome.radius.to_numpy()
    return (np.minimum(outcome.failed_at.to_numpy(), high) + high) / 2


def _left(ends: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Share of ends above each strength, in per cent."""
    return 100 * (1 - np.searchsorted(np.sort(ends), grid, side="right") / len(ends))


def _marked(axis: Axes, records: Sequence[Record], look: Look) -> None:
    """ε50% of a recipe: the mean over models ± their deviation, as in tables; of one model with its interval."""
    values = [_as_strength(record, record.value) for record in records]
    if not look.marker or not values or not all(map(math.isfinite, values)):
        return
    at = sum(values) / len(values)
    below, above = _reach(records, values, at)
    axis.errorbar([at], [50], xerr=[[below], [above]], color=look.color, marker=look.marker, ms=5, zorder=4)
    axis.plot([at, at], [0, 50], color=look.color, ls=":", lw=0.8)


def _reach(records: Sequence[Record], values: Sequence[float], at: float) -> tuple[float, float]:
    """How far the bar reaches to both sides; not at all where nothing is known."""
    if len(values) > 1:
        return (deviation(values),) * 2
    low, high = sorted(_as_strength(records[0], end) for end in records[0].interval)
    known = math.isfinite(low) and math.isfinite(high) and low <= at <= high
    return (at - low, high - at) if known else (0.0, 0.0)


def _as_strength(record: Record, value: float) -> float:
    """ε50% itself, and 1/τ50%."""
    if record.quantity.kind == "tau50":
        return 1 / value if value else math.inf
    return value

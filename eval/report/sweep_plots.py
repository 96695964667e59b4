"""What was measured of a sweep against its setting, and accuracy against strength at each setting."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from eval.figures.panels import legend_below, literal, panels_for, titled
from eval.figures.style import LETTER, Look, looks_of
from eval.records import Quantity, Record, Records
from eval.records.identity import slug
from eval.records.quantity import SHARES
from eval.records.subject import SETTINGS
from eval.report.sweeps import Sweep, axis_title, by_data_and_settings, derived, number_of, with_derived
from eval.tables.rows import Row, column_titles, subjects_of

TICKS = 1.6
"""Inches from the first value to the last, in three panels across a page."""
WIDE = 20.0
"""Ratio of the largest value of a setting to the smallest from which on its axis is logarithmic."""


def sweep_figures(records: Records) -> dict[str, Figure]:
    """A picture per data set and settings with every measurement against the setting, by name."""
    figures = {}
    for (data, names), groups in by_data_and_settings(records).items():
        if len({text for group in groups for row in group.rows for text in _values(row, names)}) > 1:
            figures[f"sweep-{slug(data)}-{slug('-'.join(names))}"] = against_setting(records, groups)
    return figures


def against_setting(records: Records, groups: Sequence[Sweep]) -> Figure:
    """One panel per measurement, one line per recipe, or per recipe and value of a second setting.

    A line joins means over seeds; bars are standard deviations, and points single models. A setting of which a model
    lies above everything that was tried has no mean, which that of the others would understate.
    """
    chosen = [record for group in groups for record in group.records]
    extra = derived(records, groups)
    titles = column_titles([*chosen, *extra])
    drawn = sorted(titles, key=lambda quantity: quantity.rank)
    by_title: dict[str, list[Quantity]] = {}
    for quantity in drawn:
        by_title.setdefault(titles[quantity], []).append(quantity)
    figure, axes = panels_for(len(by_title))
    lines = _lines(groups, subjects_of(extra))
    place = _places(groups)
    for axis, (title, quantities) in zip(axes, by_title.items(), strict=True):
        for (label, rows), look in zip(lines.items(), looks_of(lines), strict=True):
            _line(axis, rows, quantities, place, look, label)
        axis.set(ylabel=literal(title, 26))
        _setting_axis(axis, groups[0].names[_across(groups)], place)
    if len(lines) > 1:
        legend_below(figure, axes)
    named = " and ".join(SETTINGS.get(name, name) for name in groups[0].names)
    only = f", {groups[0].recipe}" if len(lines) == 1 else ""
    titled(figure, f"{groups[0].data}{only}: what was measured, over {named}")
    return figure


def _values(row: Row, names: Sequence[str]) -> list[str]:
    return [row.records[0].model.value_of(name) for name in names]


def _across(groups: Sequence[Sweep]) -> int:
    """Which setting runs along the axis: the one with more values."""
    names = groups[0].names
    counts = [len({_values(row, names)[i] for group in groups for row in group.rows}) for i in range(len(names))]
    return counts.index(max(counts))


def _places(groups: Sequence[Sweep]) -> dict[str, float]:
    """Where each value of the setting stands along the axis: the value itself, or one after the other for words."""
    across = _across(groups)
    written = dict.fromkeys(_values(row, group.names)[across] for group in groups for row in group.rows)
    found = {text: number_of(text) for text in written}
    if any(value is None for value in found.values()):
        return {text: float(place) for place, text in enumerate(found)}
    return {text: value for text, value in found.items() if value is not None}


def _lines(groups: Sequence[Sweep], extra: Mapping[str, Sequence[Record]]) -> dict[str, list[Row]]:
    """Rows that a line joins, by what the line is called; each row is named by its value along the axis."""
    across, found = _across(groups), {}  # type: ignore[var-annotated]
    for group in groups:
        for row in group.rows:
            others = [name for place, name in enumerate(group.names) if place != across]
            told = row.records[0].model.told(others)
            label = f"{group.recipe}, {told}" if told else group.recipe
            value = _values(row, group.names)[across]
            whole = with_derived(row, extra)
            found.setdefault(label, []).append(Row(row.data, value, whole.records))
    return found


def _line(
    axis: Axes,
    rows: Sequence[Row],
    quantities: Sequence[Quantity],
    place: Mapping[str, float],
    look: Look,
    label: str,
) -> None:
    points, single = [], []
    for row in rows:
        factor = 100 if quantities[0].kind in SHARES else 1
        found = [factor * r.value for r in row.records if r.quantity in quantities and not math.isnan(r.value)]
        single += [(place[row.recipe], value) for value in found if math.isfinite(value)]
        if found and all(map(math.isfinite, found)):
            over = float(np.std(found, ddof=1)) if len(found) > 1 else 0.0
            points.append((place[row.recipe], float(np.mean(found)), over))
    if single:
        across, values = zip(*single, strict=True)
        axis.scatter(across, values, color=look.color, s=8, alpha=0.5, lw=0)
        x, y, over_seeds = np.array(sorted(points)).reshape(-1, 3).T
        axis.errorbar(x, y, over_seeds, **look.marked, label=literal(label))


def _setting_axis(axis: Axes, name: str, place: Mapping[str, float]) -> None:
    """Ticks at the values, as written; logarithmic where they reach far."""
    positive = [value for value in place.values() if value > 0]
    far = bool(positive) and max(positive) >= WIDE * min(positive)
    numbers = all(number_of(text) is not None for text in place)
    if numbers and far and min(place.values()) >= 0:
        if min(place.values()) > 0:
            axis.set_xscale("log")
        else:
            axis.set_xscale("symlog", linthresh=min(positive))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticks([*place.values()], _apart(axis, place), rotation=0 if numbers else 15)
    axis.set_xlabel(literal(axis_title(name)))


def _apart(axis: Axes, place: Mapping[str, float]) -> list[str]:
    """The values as written, without those that would stand in others."""
    at = axis.transScale.transform([(value, 0.0) for value in place.values()])[:, 0]
    inch = TICKS / (np.ptp(at) or 1.0)
    told, end = [], -math.inf
    for text, where in sorted(zip(place, inch * at, strict=True), key=lambda pair: pair[1]):
        half = LETTER * len(text) / 2
        told.append((text, where - half > end))
        end = where + half if where - half > end else end
    shown = dict(told)
    return [literal(text) if shown[text] else "" for text in place]

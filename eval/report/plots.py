"""The plots of a report, from saved records."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.figures.panels import colours_of, levels, literal, panels
from eval.figures.saving import saved
from eval.records import Quantity, Record, Records
from eval.records.identity import slug
from eval.records.quantity import NORMS, RADII
from eval.report.correlation_plot import correlation_figures
from eval.report.front_plot import front_figures
from eval.report.of_figures import figure_pictures
from eval.report.subject_picture import subject_figures
from eval.report.sweep_grid import sweep_grids
from eval.report.sweep_plots import sweep_figures
from eval.report.sweeps import Sweep, sweeps
from eval.report.tables import ESTIMATORS, compared
from eval.tables.rows import Row, column_titles, rows, subjects_of


def all_plots(records: Records) -> dict[str, bytes]:
    """Every plot that the records allow, as SVG and as PDF, by file name."""
    return {file: kept for name, figure in all_figures(records).items() for file, kept in saved(name, figure).items()}


def all_figures(records: Records) -> dict[str, Figure]:
    """Every figure that the records allow, by name."""
    figures: dict[str, Figure] = {}
    radii = rows(r for r in compared(records) if r.quantity.kind in RADII)
    for data in dict.fromkeys(row.data for row in radii):
        figures[f"curves-{slug(data)}"] = curves(records, [row for row in radii if row.data == data])
    for row in radii:
        for chosen in subjects_of(row.records).values():
            if len(chosen) > 2:
                figures[f"attacks-{records.home(chosen[0])}"] = attacks(records, row, chosen)
    estimators = rows(r for r in records if ESTIMATORS in r.model.groups)
    for data in dict.fromkeys(row.data for row in estimators):
        drawn = {row.recipe: records.examples(row.records[0]) for row in estimators if row.data == data}
        pictures = {name: arrays for name, arrays in drawn.items() if arrays is not None and arrays["x"].ndim == 4}
        if pictures:
            figures[f"residuals-{slug(data)}"] = residuals(data, pictures)
    for group in sweeps(records):
        if with_radii := [row for row in group.rows if any(r.quantity.kind in RADII for r in row.records)]:
            name = slug(f"{group.data}-{group.recipe}-{'-'.join(group.names)}")
            figures[f"sweep-curves-{name}"] = sweep_curves(records, group, with_radii)
    figures |= sweep_figures(records) | sweep_grids(records)
    figures |= front_figures(records) | correlation_figures(records)
    return figures | figure_pictures(records) | subject_figures(records)


def curves(records: Records, chosen: list[Row]) -> Figure:
    """Accuracy against strength, one panel per attack, one line per model: the survival function of the radii."""
    title = f"{chosen[0].data}: accuracy against ε; ε50% lies where a line crosses 50 %"
    return _survivals(records, chosen, colours_of(row.recipe for row in chosen), title)


def sweep_curves(records: Records, group: Sweep, chosen: list[Row]) -> Figure:
    """The same for the settings of a sweep: paper 1, Figure S9, at several settings."""
    named = [replace(row, recipe=row.records[0].model.told(group.names)) for row in chosen]
    radii = [replace(row, records=[r for r in row.records if r.quantity.kind in RADII]) for row in named]
    return _survivals(records, radii, levels(len(radii)), f"{group.data}, {group.title}: accuracy against strength")


def _survivals(records: Records, chosen: list[Row], colours: Sequence[str], title: str) -> Figure:
    titles = column_titles(record for row in chosen for record in row.records)
    figure, axes = panels(len(titles))
    for axis, quantity in zip(axes, sorted(titles, key=lambda quantity: quantity.rank), strict=True):
        for row, colour in zip(chosen, colours, strict=True):
            drawn = [record for record in row.records if record.quantity == quantity]
            for number, record in enumerate(drawn):
                survival(axis, records.per_sample(record), colour, None if number else literal(row.recipe))
        _finished(axis, _strength(quantity, titles[quantity]))
    axes[0].set_ylabel("accuracy under attack, %")
    figure.suptitle(literal(title), fontsize=10)
    return figure


def attacks(records: Records, row: Row, chosen: list[Record]) -> Figure:
    """Every attack on one model, one panel per norm."""
    titles = column_titles(chosen)
    groups: dict[str, list[Record]] = {}
    for record in sorted(chosen, key=lambda record: record.quantity.rank):
        norm = record.quantity.norm
        groups.setdefault(f"ε, {NORMS[norm]}" if norm else "1/τ", []).append(record)
    figure, axes = panels(len(groups))
    for axis, (label, group) in zip(axes, groups.items(), strict=True):
        for number, record in enumerate(group):
            name = titles[record.quantity].partition(" ")[2]
            survival(axis, records.per_sample(record), f"C{number}", name)
        _finished(axis, label)
    axes[0].set_ylabel("accuracy under attack, %")
    seed = chosen[0].model.seed
    named = literal(f"{row.data}, {row.recipe}, seed {seed}")
    figure.suptitle(f"{named}: accuracy under every attack", fontsize=10)
    return figure


def _strength(quantity: Quantity, title: str) -> str:
    return f"{'1/τ' if quantity.kind == 'tau50' else 'ε'}, {title.partition(' ')[2]}"


def residuals(data: str, examples: dict[str, dict[str, np.ndarray]]) -> Figure:
    """One sample per class: x, Δx where it is known, and Δ̂x and x̂' of every estimator."""
    first = next(iter(examples.values()))
    low, high = first["bounds"]
    drawn = [("x", first["x"], low, high)]
    if "exact" in first:
        drawn.append(("Δx", first["exact"], low - high, high - low))
    for name, arrays in examples.items():
        drawn.append((f"{literal(name)}\nΔ̂x", arrays["residual"], low - high, high - low))
        drawn.append(("x̂'", arrays["x"] + arrays["residual"], low, high))
    rows = len(first["x"])
    figure = Figure(figsize=(1.1 * len(drawn), 1.05 * rows + 0.8), layout="constrained", dpi=150)
    for column, (heading, images, bottom, top) in enumerate(drawn):
        for row, image in enumerate(images):
            axis = figure.add_subplot(rows, len(drawn), row * len(drawn) + column + 1)
            shown = np.clip((image.transpose(1, 2, 0) - bottom) / (top - bottom), 0, 1)
            axis.imshow(shown.squeeze(-1) if shown.shape[-1] == 1 else shown, cmap="gray", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            if row == 0:
                axis.set_title(heading, fontsize=7)
            if column == 0:
                classes = first["classes"]
                axis.set_ylabel(literal(f"{classes[first['y'][row]]} → {classes[first['target'][row]]}"), fontsize=7)
    figure.suptitle(f"{literal(data)}: residuals to another class", fontsize=9)
    return figure


def _finished(axis: Axes, label: str) -> None:
    axis.axhline(50, color="black", lw=0.6, ls=":")
    axis.set(xlim=(0, None), ylim=(0, 101), xlabel=label)
    axis.legend(frameon=False)


def survival(axis: Axes, outcome: pd.DataFrame, colour: str, label: str | None) -> None:
    """Share of radii above ε: between the strengths seen to fail and to succeed, with a line in the middle."""
    low, high = outcome.failed_at.to_numpy(), outcome.radius.to_numpy()
    top = float(np.quantile(high[np.isfinite(high)], 0.98)) if np.isfinite(high).any() else 1.0
    grid = np.linspace(0, 1.02 * top or 1.0, 400)
    # A radius that was never reached lies above everything that was tried.
    middle = np.where(np.isfinite(high), (np.where(high > 0, low, 0) + high) / 2, np.inf)
    shares = [
        100 * (1 - np.searchsorted(np.sort(ends), grid, side="right") / len(ends)) for ends in (low, middle, high)
    ]
    axis.fill_between(grid, np.where(grid == 0, shares[1], shares[0]), shares[2], color=colour, alpha=0.2, lw=0)
    axis.plot(grid, shares[1], color=colour, lw=1.5, label=label)

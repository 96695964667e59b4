"""The plots of a report, from saved records."""

from collections.abc import Mapping
from io import BytesIO
from itertools import cycle, product
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.records import Quantity, Record, Records
from eval.records.identity import slug
from eval.records.quantity import NORMS, RADII
from eval.report.of_figures import figure_pictures
from eval.report.tables import ESTIMATORS, compared, sweep
from eval.tables.rows import Row, column_titles, rows, subjects_of

COLOURS = {"B": "#6b7280", "Lα": "#d97706", "P": "#2563eb"}
OTHERS = ("#059669", "#9333ea", "#dc2626", "#0891b2", "#be185d", "#65a30d", "#4338ca", "#92400e")
STYLE: Any = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25}


def all_plots(records: Records) -> dict[str, bytes]:
    """Every plot that the records allow, as PNG, by file name."""
    return {f"{name}.png": _png(figure) for name, figure in all_figures(records).items()}


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
    swept = sweep(records)
    for data, part in swept.frame.groupby("data", sort=False):
        figure = correlation(str(data), part, swept.quantities)
        if figure is not None:
            figures[f"correlation-{slug(str(data))}"] = figure
    return figures | figure_pictures(records)


def curves(records: Records, chosen: list[Row]) -> Figure:
    """Accuracy against strength, one panel per attack, one line per model: the survival function of the radii."""
    titles = column_titles(record for row in chosen for record in row.records)
    figure, axes = _panels(len(titles))
    others = cycle(OTHERS)
    colours = [COLOURS.get(row.recipe) or next(others) for row in chosen]
    for axis, quantity in zip(axes, sorted(titles, key=lambda quantity: quantity.rank), strict=True):
        for row, colour in zip(chosen, colours, strict=True):
            drawn = [record for record in row.records if record.quantity == quantity]
            for number, record in enumerate(drawn):
                survival(axis, records.per_sample(record), colour, None if number else _literal(row.recipe))
        _finished(axis, _strength(quantity, titles[quantity]))
    axes[0].set_ylabel("accuracy under attack, %")
    title = f"{_literal(chosen[0].data)}: accuracy against ε; ε50% lies where a line crosses 50 %"
    figure.suptitle(title, fontsize=10)
    return figure


def attacks(records: Records, row: Row, chosen: list[Record]) -> Figure:
    """Every attack on one model, one panel per norm."""
    titles = column_titles(chosen)
    groups: dict[str, list[Record]] = {}
    for record in sorted(chosen, key=lambda record: record.quantity.rank):
        norm = record.quantity.norm
        groups.setdefault(f"ε, {NORMS[norm]}" if norm else "1/τ", []).append(record)
    figure, axes = _panels(len(groups))
    for axis, (label, group) in zip(axes, groups.items(), strict=True):
        for number, record in enumerate(group):
            name = titles[record.quantity].partition(" ")[2]
            survival(axis, records.per_sample(record), f"C{number}", name)
        _finished(axis, label)
    axes[0].set_ylabel("accuracy under attack, %")
    seed = chosen[0].model.seed
    named = _literal(f"{row.data}, {row.recipe}, seed {seed}")
    figure.suptitle(f"{named}: accuracy under every attack", fontsize=10)
    return figure


def _literal(text: str) -> str:
    """Text that matplotlib draws as it is: no formula, and no legend entry that is left out."""
    escaped = text.replace("$", r"\$")
    return f"\u200b{escaped}" if escaped.startswith("_") else escaped


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
        drawn.append((f"{_literal(name)}\nΔ̂x", arrays["residual"], low - high, high - low))
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
                axis.set_ylabel(_literal(f"{classes[first['y'][row]]} → {classes[first['target'][row]]}"), fontsize=7)
    figure.suptitle(f"{_literal(data)}: residuals to another class", fontsize=9)
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


def correlation(data: str, part: pd.DataFrame, quantities: Mapping[str, Quantity]) -> Figure | None:
    """Alignment against ε50% over the models of a sweep, coloured by training ε; None without any ε50%.

    One row of panels for each measure of robustness, one column for each metric of alignment.
    """
    wide = part.pivot_table(index=["recipe", "epsilon", "seed"], columns="measurement", values="value").reset_index()
    # Models that nobody said a training ε of are coloured by their recipes.
    by_recipe = (wide.epsilon == "").all()
    wide["level"] = wide.recipe if by_recipe else wide.epsilon
    here = sorted((title for title in quantities if title in wide), key=lambda title: quantities[title].rank)
    metrics = [title for title in here if quantities[title].kind in ("alpha_dx", "alpha_x")]
    radii = [title for title in here if quantities[title].kind == "epsilon50"]
    if not metrics or not radii:
        return None
    figure, axes = _panels(len(metrics), len(radii))
    levels = sorted(wide.level.unique(), key=None if by_recipe else _number)
    colours = mpl.colormaps["viridis"](np.linspace(0.05, 0.9, len(levels)))
    for axis, (radius, metric) in zip(axes, product(radii, metrics), strict=True):
        for level, colour in zip(levels, colours, strict=True):
            chosen = wide[wide.level == level]
            axis.scatter(chosen[metric], chosen[radius], color=colour, s=28, label=_literal(level))
        axis.set(xlabel=metric, ylabel=radius)
    axes[-1].legend(title="recipe" if by_recipe else "training ε", frameon=False, fontsize=8)
    trained = "" if by_recipe else " trained at several ε"
    figure.suptitle(f"{_literal(data)}: alignment and robustness of models{trained}", fontsize=10)
    return figure


def _panels(across: int, down: int = 1) -> tuple[Figure, list[Axes]]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2 * across, 3.2 * down), layout="constrained", dpi=150)
        axes = figure.subplots(down, across, squeeze=False).flatten()
    return figure, list(axes)


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _number(written: str) -> float:
    numerator, _, denominator = str(written).partition("/")
    return float(numerator or 0) / float(denominator or 1)

"""The plots of a report, from saved records."""

from io import BytesIO
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.records.results import Record, Results
from eval.report.tables import ESTIMATORS, NOT_BESIDE
from eval.report.titles import NORMS, rank, title

COLOURS = {"B": "#6b7280", "Lα": "#d97706", "P": "#2563eb"}
OTHERS = ("#059669", "#9333ea", "#dc2626", "#0891b2", "#be185d", "#65a30d", "#4338ca", "#92400e")
STYLE: Any = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25}


def all_plots(results: Results) -> dict[str, bytes]:
    """Every plot that the records allow, as PNG, by file name."""
    everything = results.records()
    records = [r for r in everything if r.model.group not in NOT_BESIDE]
    radii = [r for r in records if r.measurement.startswith(("epsilon50", "tau50"))]
    figures = {}
    for data in dict.fromkeys(r.model.data for r in radii):
        figures[f"curves-{_slug(data)}.png"] = _curves(results, [r for r in radii if r.model.data == data])
    for model in dict.fromkeys(r.model for r in radii):
        chosen = [r for r in radii if r.model == model]
        if len(chosen) > 2:
            figures[f"attacks-{results.model_folder(model).name}.png"] = _attacks(results, chosen)
    estimators = dict.fromkeys(r.model for r in everything if r.model.group == ESTIMATORS)
    for data in dict.fromkeys(model.data for model in estimators):
        drawn = {model.recipe: results.examples(model) for model in estimators if model.data == data}
        pictures = {name: arrays for name, arrays in drawn.items() if arrays is not None and arrays["x"].ndim == 4}
        if pictures:
            figures[f"residuals-{_slug(data)}.png"] = _residuals(data, pictures)
    frame = results.frame()
    for data, part in frame[frame.group == "sweep"].groupby("data", sort=False):
        figures[f"correlation-{_slug(str(data))}.png"] = _correlation(str(data), part)
    return {name: _png(figure) for name, figure in figures.items()}


def _curves(results: Results, records: list[Record]) -> Figure:
    """Accuracy against strength, one panel per attack, one line per model: the survival function of the radii."""
    attacks = sorted({r.measurement for r in records}, key=rank)
    figure, axes = _panels(len(attacks))
    others = cycle(OTHERS)
    recipes = {recipe: COLOURS.get(recipe) or next(others) for recipe in _unique(records, "recipe")}
    for axis, attack in zip(axes, attacks, strict=True):
        chosen = [r for r in records if r.measurement == attack]
        for record in chosen:
            first = record.model.seed == min(r.model.seed for r in chosen)
            recipe = record.model.recipe
            _survival(axis, results.per_sample(record), recipes[recipe], recipe if first else None)
        _finished(axis, f"{'1/τ' if attack.startswith('tau50') else 'ε'}, {title(attack).partition(' ')[2]}")
    axes[0].set_ylabel("accuracy under attack, %")
    figure.suptitle(f"{records[0].model.data}: accuracy against ε; ε50% lies where a line crosses 50 %", fontsize=10)
    return figure


def _attacks(results: Results, records: list[Record]) -> Figure:
    """Every attack on one model, one panel per norm."""
    groups: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: rank(r.measurement)):
        norm = NORMS.get(record.measurement.rpartition("_")[2])
        groups.setdefault("1/τ" if norm is None else f"ε, {norm}", []).append(record)
    figure, axes = _panels(len(groups))
    for axis, (label, chosen) in zip(axes, groups.items(), strict=True):
        for i, record in enumerate(chosen):
            _survival(axis, results.per_sample(record), f"C{i}", title(record.measurement).split(maxsplit=1)[1])
        _finished(axis, label)
    axes[0].set_ylabel("accuracy under attack, %")
    model = records[0].model
    figure.suptitle(f"{model.data}, {model.recipe}, seed {model.seed}: accuracy under every attack", fontsize=10)
    return figure


def _residuals(data: str, examples: dict[str, dict[str, np.ndarray]]) -> Figure:
    """One sample per class: x, Δx where it is known, and Δ̂x and x̂' of every estimator."""
    first = next(iter(examples.values()))
    low, high = first["bounds"]
    drawn = [("x", first["x"], low, high)]
    if "exact" in first:
        drawn.append(("Δx", first["exact"], low - high, high - low))
    for name, arrays in examples.items():
        drawn.append((f"{name}\nΔ̂x", arrays["residual"], low - high, high - low))
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
                axis.set_ylabel(f"{classes[first['y'][row]]} → {classes[first['target'][row]]}", fontsize=7)
    figure.suptitle(f"{data}: residuals to another class", fontsize=9)
    return figure


def _finished(axis: Axes, label: str) -> None:
    axis.axhline(50, color="black", lw=0.6, ls=":")
    axis.set(xlim=(0, None), ylim=(0, 101), xlabel=label)
    axis.legend(frameon=False)


def _unique(records: list[Record], attribute: str) -> list[str]:
    return list(dict.fromkeys(getattr(r.model, attribute) for r in records))


def _survival(axis: Axes, outcome: pd.DataFrame, colour: str, label: str | None) -> None:
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


def _correlation(data: str, part: pd.DataFrame) -> Figure:
    """Alignment against ε50% over the models of a sweep, one panel per metric, coloured by training ε."""
    wide = part.pivot_table(index=["epsilon", "seed"], columns="measurement", values="value").reset_index()
    metrics = [name for name in ("alpha_dx", "alpha_x") if name in wide]
    figure, axes = _panels(len(metrics))
    levels = sorted(wide.epsilon.unique(), key=_number)
    colours = mpl.colormaps["viridis"](np.linspace(0.05, 0.9, len(levels)))
    for axis, metric in zip(axes, metrics, strict=True):
        for level, colour in zip(levels, colours, strict=True):
            chosen = wide[wide.epsilon == level]
            axis.scatter(chosen[metric], chosen.epsilon50_pgd_linf, color=colour, s=28, label=level)
        axis.set(xlabel=title(metric))
    axes[0].set_ylabel(title("epsilon50_pgd_linf"))
    axes[-1].legend(title="training ε", frameon=False, fontsize=8)
    figure.suptitle(f"{data}: alignment and robustness of PGD-trained models", fontsize=10)
    return figure


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2 * count, 3.2), layout="constrained", dpi=150)
        axes = figure.subplots(1, count, squeeze=False)[0]
    return figure, list(axes)


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _number(written: str) -> float:
    numerator, _, denominator = str(written).partition("/")
    return float(numerator) / float(denominator or 1)


def _slug(name: str) -> str:
    return name.replace("/", "").replace(" ", "_")

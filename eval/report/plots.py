"""The plots of a report, from saved records."""

from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.report.tables import TITLES, rank
from eval.results import Record, Results

COLOURS = {"B": "#6b7280", "Lα": "#d97706", "P": "#2563eb"}
STYLE: Any = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25}


def all_plots(results: Results) -> dict[str, bytes]:
    """Every plot that the records allow, as PNG, by file name."""
    records = results.records()
    radii = [r for r in records if r.measurement.startswith("epsilon50") and r.model.group != "sweep"]
    figures = {}
    for data in dict.fromkeys(r.model.data for r in radii):
        figures[f"curves-{_slug(data)}.png"] = _curves(results, [r for r in radii if r.model.data == data])
    frame = results.frame()
    for data, part in frame[frame.group == "sweep"].groupby("data", sort=False):
        figures[f"correlation-{_slug(str(data))}.png"] = _correlation(str(data), part)
    return {name: _png(figure) for name, figure in figures.items()}


def _curves(results: Results, records: list[Record]) -> Figure:
    """Accuracy against ε, one panel per attack, one line per model: the survival function of the radii."""
    attacks = sorted({r.measurement for r in records}, key=rank)
    figure, axes = _panels(len(attacks))
    for axis, attack in zip(axes, attacks, strict=True):
        chosen = [r for r in records if r.measurement == attack]
        for record in chosen:
            first = record.model.seed == min(r.model.seed for r in chosen)
            _survival(axis, results.per_sample(record), record.model.recipe, labelled=first)
        axis.axhline(50, color="black", lw=0.6, ls=":")
        axis.set(xlim=(0, None), ylim=(0, 101), xlabel=f"ε, {TITLES.get(attack, attack).removeprefix('ε50% ')}")
        axis.legend(frameon=False)
    axes[0].set_ylabel("accuracy under attack, %")
    figure.suptitle(f"{records[0].model.data}: accuracy against ε; ε50% lies where a line crosses 50 %", fontsize=10)
    return figure


def _survival(axis: Axes, outcome: pd.DataFrame, recipe: str, *, labelled: bool) -> None:
    """Share of radii above ε: between the strengths seen to fail and to succeed, with a line in the middle."""
    colour = COLOURS.get(recipe)
    low, high = outcome.failed_at.to_numpy(), outcome.radius.to_numpy()
    top = float(np.quantile(high[np.isfinite(high)], 0.98)) if np.isfinite(high).any() else 1.0
    grid = np.linspace(0, 1.02 * top or 1.0, 400)
    # A radius that was never reached lies above everything that was tried.
    middle = np.where(np.isfinite(high), (np.where(high > 0, low, 0) + high) / 2, np.inf)
    shares = [
        100 * (1 - np.searchsorted(np.sort(ends), grid, side="right") / len(ends)) for ends in (low, middle, high)
    ]
    axis.fill_between(grid, np.where(grid == 0, shares[1], shares[0]), shares[2], color=colour, alpha=0.2, lw=0)
    axis.plot(grid, shares[1], color=colour, lw=1.5, label=recipe if labelled else None)


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
        axis.set(xlabel=TITLES[metric])
    axes[0].set_ylabel(TITLES["epsilon50_pgd_linf"])
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

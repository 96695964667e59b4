"""How Theorems 1 and 2 of paper 1 are tabled and drawn."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.figures.panels import legend_below, literal, panels_for, titled
from eval.figures.style import CLOUD, COLOURS, looks_of
from eval.records import Quantity, Record, Records
from eval.records.identity import slug
from eval.tables.rows import Row, rows
from eval.tables.table import Table

BY = {"lemma": "Lemma 1", "cw": "Carlini–Wagner", "fmn": "FMN"}
MEANING = (
    "Theorem 1 says ρ(x_i) + ρ(x_j) = ‖x_j − x_i‖ α; “off by” is the root mean square of the difference, in units of "
    "that of the left side. Theorem 2 says inf(D) α / 2 ≤ ρ_m ≤ sup(D) α / 2 for means over all pairs, where D are "
    "their distances and no pair has α < 0."
)
NO_PAIRS = (
    "–: no pair is left of which Theorem 1 says something. Both ends must have the two classes of the pair for the "
    "predicted and the closest one; more samples, or data of two classes, have more such pairs."
)


def table(records: Records, chosen: Sequence[Record]) -> Table:
    """One row per model and source of ρ."""
    lines = [_line(row, record) for row in rows(chosen) for record in _in_order(row)]
    notes = [MEANING] if all(map(_has_pairs, chosen)) else [MEANING, NO_PAIRS]
    return Table(pd.DataFrame(lines), notes)


def _has_pairs(record: Record) -> bool:
    """Whether one pair at least is left, of which both radii are known."""
    return math.isfinite(record.value)


def _line(row: Row, record: Record) -> dict[str, Any]:
    told = {name: float(value) for name, value in record.details.items() if name in _TOLD}
    numbers = {
        "Theorem 1 off by": f"{100 * record.value:.3g} %",
        "α": f"{told['alpha']:.3f}",
        "inf(D) α / 2": f"{told['nearest'] * told['alpha'] / 2:.4g}",
        "ρ_m": f"{told['rho']:.4g}",
        "sup(D) α / 2": f"{told['furthest'] * told['alpha'] / 2:.4g}",
        "α < 0": f"{told['negative']:.0f}",
    }
    return {
        "data": row.data,
        "recipe": row.recipe,
        "seed": record.model.seed,
        "ρ by": BY[record.quantity.settings["by"]],
        "pairs": record.samples,
        "left out": record.invalid + int(told["missed"]),
        **(numbers if _has_pairs(record) else dict.fromkeys(numbers, "–")),
    }


_TOLD = ("rho", "alpha", "nearest", "furthest", "negative", "missed")


def draw(records: Records, chosen: Sequence[Record]) -> dict[str, Figure]:
    """A picture per data set: Theorem 1, a panel per recipe and source of ρ, and Theorem 2 with every model."""
    found: dict[str, Figure] = {}
    grouped = rows(record for record in chosen if _has_pairs(record))
    for data in dict.fromkeys(row.data for row in grouped):
        models = [(row, record) for row in grouped if row.data == data for record in _in_order(row)]
        found[slug(data)] = _picture(records, data, models)
    return found


def _in_order(row: Row) -> list[Record]:
    return sorted(row.records, key=lambda record: (record.model.seed, record.quantity.settings["by"] != "lemma"))


def _picture(records: Records, data: str, models: Sequence[tuple[Row, Record]]) -> Figure:
    firsts: dict[tuple[str, Quantity], tuple[Row, Record]] = {}
    for row, record in models:
        firsts.setdefault((row.recipe, record.quantity), (row, record))
    figure, axes = panels_for(len(firsts) + 1)
    for axis, (row, record) in zip(axes, firsts.values(), strict=False):
        _theorem_1(axis, records.per_sample(record), f"{row.recipe}, ρ by {BY[record.quantity.settings['by']]}")
    _theorem_2(axes[len(firsts)], models)
    legend_below(figure, axes[len(firsts) - 1 :])
    titled(figure, f"{data}: robustness, distance and alignment of pairs")
    return figure


def _theorem_1(axis: Axes, frame: pd.DataFrame, title: str) -> None:
    """A dot per pair; Theorem 1 is the line."""
    known = frame[np.isfinite(frame.rho + frame.rho_other)]
    x, y = known.distance * known.alpha, known.rho + known.rho_other
    both = np.concatenate([x, y, [0.0]])
    low, high = both.min(), both.max() * 1.05
    axis.plot([low, high], [low, high], color="black", lw=0.8, ls=":", label="Theorem 1")
    axis.plot(x, y, ".", ms=3, mew=0, alpha=0.6, color=COLOURS["P"], label="pairs", rasterized=len(x) > CLOUD)
    axis.set(xlim=(low, high), ylim=(low, high))
    axis.set_xlabel("‖x_j − x_i‖ α")
    axis.set_ylabel("ρ(x_i) + ρ(x_j)")
    axis.set_title(literal(title, 30))


def _theorem_2(axis: Axes, models: Sequence[tuple[Row, Record]]) -> None:
    """A dot per model between the two bounds."""
    details = [record.details for _, record in models]
    nearest = min(float(told["nearest"]) for told in details)
    furthest = max(float(told["furthest"]) for told in details)
    ends = np.array([0.0, 1.0])
    axis.fill_between(ends, nearest * ends / 2, furthest * ends / 2, color="#9ca3af", alpha=0.3)
    axis.plot(ends, nearest * ends / 2, color="#6b7280", lw=0.8, label="inf(D) α / 2")
    axis.plot(ends, furthest * ends / 2, color="#6b7280", lw=0.8, ls="--", label="sup(D) α / 2")
    names = [*dict.fromkeys(_name(row, record) for row, record in models)]
    for name, look in zip(names, looks_of(names), strict=True):
        same = [record.details for row, record in models if _name(row, record) == name]
        alphas, rhos = ([float(told[key]) for told in same] for key in ("alpha", "rho"))
        axis.plot(alphas, rhos, ls="", color=look.color, marker=look.marker, label=literal(name, 40))
    least = min(float(told["alpha"]) for told in details)
    axis.set(xlim=(min(0.0, 1.1 * least), 1))  # no bound holds where α < 0, but the dot is there
    axis.set(xlabel="α", ylabel="ρ_m", title="Theorem 2")


def _name(row: Row, record: Record) -> str:
    return f"{row.recipe}, {BY[record.quantity.settings['by']]}"

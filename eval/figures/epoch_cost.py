"""Seconds and memory of an epoch of training: paper 2, Fig. 8."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from eval.figures.kind import FigureKind, no_measurement
from eval.figures.panels import literal, panels, rows_by_data, titled
from eval.figures.style import COLOURS
from eval.records import Record, Records
from eval.records.identity import slug
from eval.tables import Row, Table

KIND = "epoch_cost"
COLUMNS = {
    "seconds": "seconds per epoch",
    "seconds_with_validation": "with validation",
    "peak_mb": "peak memory, MB",
}


def table(records: Records, chosen: Sequence[Record]) -> Table:
    """One line per recipe: medians over epochs, and seconds against the cheapest of the data set."""
    lines = []
    for data, rows in rows_by_data(chosen).items():
        costs = [_cost(records, row) for row in rows]
        for row, cost in zip(rows, costs, strict=True):
            names = {"data": data, "recipe": row.recipe, "models": str(row.models)}
            shown = {label: f"{cost[key]:.3g}" for key, label in COLUMNS.items() if key in cost}
            lines.append(
                names | shown | {"times the cheapest": f"{cost['seconds'] / min(c['seconds'] for c in costs):.2f}"}
            )
    return Table(pd.DataFrame(lines).fillna("–"), _told(chosen))


def _cost(records: Records, row: Row) -> dict[str, float]:
    """Medians over the epochs of all models of a row; of memory the largest."""
    epochs = pd.concat([records.per_sample(record) for record in row.records])
    found = {key: float(epochs[key].median()) for key in COLUMNS if key in epochs}
    return found | ({"peak_mb": float(epochs.peak_mb.max())} if "peak_mb" in found else {})


def _told(chosen: Sequence[Record]) -> list[str]:
    memory = sorted({str(record.details["peak_mb"]) for record in chosen if "peak_mb" in record.details})
    told = ["Seconds: the median over epochs of a training's steps, attacks included."]
    told += [f"Memory: {kind}." for kind in memory]
    together = sorted({int(record.provenance.get("side_by_side", 1)) for record in chosen} - {1})
    if together:
        told.append(f"Some were trained {' or '.join(map(str, together))} at a time, and share the seconds.")
    return told


def draw(records: Records, chosen: Sequence[Record]) -> Mapping[str, Figure]:
    """For each data set bars of seconds, and of memory where it was logged."""
    return {slug(data): _drawn(records, data, rows) for data, rows in rows_by_data(chosen).items()}


def _drawn(records: Records, data: str, rows: Sequence[Row]) -> Figure:
    costs = [_cost(records, row) for row in rows]
    shown = [key for key in ("seconds", "peak_mb") if all(key in cost for cost in costs)]
    figure, axes = panels(len(shown), height=0.5 + 0.17 * len(rows))
    places = np.arange(len(rows))
    for axis, key in zip(axes, shown, strict=True):
        axis.barh(places, [cost[key] for cost in costs], color=COLOURS["P"], height=0.6)
        axis.set_yticks(places, [literal(row.recipe, 30) for row in rows])
        axis.invert_yaxis()
        axis.grid(visible=False, axis="y")
        axis.set_xlabel(COLUMNS[key])
    titled(figure, f"{data}: cost of an epoch")
    return figure


EPOCH_COST = FigureKind(KIND, "Cost of an epoch of training (paper 2, Fig. 8)", (KIND,), no_measurement, table, draw)

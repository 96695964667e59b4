"""Clean and adversarial loss over the epochs of a training: paper 2, Figs. 6 and S2."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.figures.kind import FigureKind, no_measurement
from eval.figures.panels import legend_below, literal, over_epochs, panels_for, rows_by_data, titled
from eval.figures.style import COLOURS
from eval.records import Record, Records
from eval.records.identity import slug
from eval.tables import Row, Table

KIND = "training_curve"
SPLITS = ("train", "val", "test")
LOSSES = ("clean", "adversarial")
NAMES = {"train": "training", "val": "validation", "test": "test"}
PANELS = 12
"""Recipes that have a panel, at most; the numbers of all stand in the table."""
COLUMNS = (
    *(f"{loss}, {name}" for loss in LOSSES for name in NAMES.values()),
    *(f"rise, {name}" for name in NAMES.values()),
)
"""Of the table, those that something was logged of."""


def table(records: Records, chosen: Sequence[Record]) -> Table:
    """One line per recipe: losses of the last epoch, and how far the adversarial one has risen from its smallest."""
    lines = []
    for row in [row for of_data in rows_by_data(chosen).values() for row in of_data]:
        curves = [records.per_sample(record) for record in row.records]
        lines.append({"data": row.data, "recipe": row.recipe, "models": str(row.models)} | _line(curves))
    told = [
        "Losses of the last epoch, means over models. Those of training are means over an epoch's steps, in training "
        "mode; the others are in evaluation mode. The adversarial loss is that of the objective, so that losses of "
        "different objectives are not to be compared. Rise: of the adversarial loss above its smallest epoch.",
    ]
    frame = pd.DataFrame(lines).fillna("–")
    return Table(frame[[*list(frame)[:3], *(name for name in COLUMNS if name in frame)]], told)


def _line(curves: Sequence[pd.DataFrame]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in [f"{split}_{loss}" for loss in LOSSES for split in SPLITS]:
        known = [curve[name].dropna() for curve in curves if name in curve and curve[name].notna().any()]
        if not known:
            continue
        split, loss = name.split("_")
        found[f"{loss}, {NAMES[split]}"] = f"{sum(values.iloc[-1] for values in known) / len(known):.3f}"
        if loss == "adversarial" and split != "train":
            risen = sum(values.iloc[-1] - values.min() for values in known) / len(known)
            found[f"rise, {NAMES[split]}"] = f"{risen:.3f}"
    return found


def draw(records: Records, chosen: Sequence[Record]) -> Mapping[str, Figure]:
    """For each data set a panel per recipe: full lines for the clean loss, broken ones for the adversarial."""
    return {slug(data): _drawn(records, data, rows) for data, rows in rows_by_data(chosen).items()}


def _drawn(records: Records, data: str, found: Sequence[Row]) -> Figure:
    rows = found[:PANELS]
    figure, axes = panels_for(len(rows))
    for axis, row in zip(axes, rows, strict=True):
        for number, record in enumerate(row.records):
            _lines(axis, records.per_sample(record), labelled=not number)
        over_epochs(axis)
        axis.set_ylabel("loss")
        axis.set_title(literal(row.recipe, 30))
    legend_below(figure, axes)
    of_all = f"; the first {PANELS} of {len(found)} recipes" if len(found) > PANELS else ""
    titled(figure, f"{data}: loss over the epochs of training{of_all}")
    return figure


def _lines(axis: Axes, curve: pd.DataFrame, *, labelled: bool) -> None:
    """Every loss that was logged."""
    for split, colour in zip(SPLITS, COLOURS.values(), strict=True):
        for loss, style in zip(LOSSES, ("-", "--"), strict=True):
            if (name := f"{split}_{loss}") in curve and curve[name].notna().any():
                known = curve[["epoch", name]].dropna()
                label = f"{loss}, {NAMES[split]}" if labelled else None
                axis.plot(known.epoch, known[name], style, color=colour, marker=".", ms=3, label=label)


TRAINING_CURVES = FigureKind(
    "training_curves", "Loss over epochs (paper 2, Figs. 6 and S2)", (KIND,), no_measurement, table, draw
)

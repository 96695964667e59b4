"""Residuals to every other class, in sizes, cosines and pictures: paper 1, Table 1 and Figs. 6, 7, S1–S6."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from eval.figures.image_grid import ImageGrid, in_bounds
from eval.figures.kind import FigureKind
from eval.records import Quantity, Record, Records
from eval.records.estimators import estimator_of
from eval.records.identity import slug
from eval.records.outcome import Measurement, Outcome
from eval.records.residual_grid import RESIDUAL_GRID, grid_quantity, residual_grid
from eval.tables.table import Table
from training.data import Batch, DataSet
from training.passes import CountPasses

Arrays = Mapping[str, np.ndarray]
SIZES = {"‖x‖₂": "norm_x", "‖Δ̂x‖₂": "norm_residual", "‖x̂'‖₂": "norm_moved", "‖x'‖₂": "norm_exact"}
"""Columns of the table, and of a record's outcomes."""
LISTED = 2
"""Samples of each of two classes that stand in the table."""


@dataclass(frozen=True)
class ResidualGrid:
    """Residuals that a classifier is measured with, from a few samples of each class; nothing is asked of it.

    Args:
        residual: estimator of Δx, see `eval.records.measurements.Alignment`.
        per_class: samples of each class; None for five of two classes, and two of more.
    """

    residual: str | Mapping[str, Any] = "auto"
    per_class: int | None = None

    def quantity(self, data: DataSet) -> Quantity:
        """By this very estimator."""
        return grid_quantity(estimator_of(data, self.residual), data, self.per_class)

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """The median ‖Δ̂x‖₂, and what is shown."""
        whole = Batch(*(torch.cat(parts) for parts in zip(*batches, strict=True)))
        per_class = self.quantity(data).settings["per_class"]
        return residual_grid(estimator_of(data, self.residual), data, whole, per_class)


def measurements(residual: str | Mapping[str, Any] = "auto", per_class: int | None = None) -> Sequence[Measurement]:
    """The one measurement."""
    return [ResidualGrid(residual, per_class)]


def table(records: Records, chosen: Sequence[Record]) -> Table:
    """As Table 1: two samples of each of two classes; of more, the first of each with its closest other class."""
    lines: list[dict[str, Any]] = []
    for record, name in _once_each(chosen):
        found, classes = records.per_sample(record), records.arrays(record)["classes"]
        for _, row in _listed(found, len(classes)).iterrows():
            line = {"data": record.model.data, "Δ̂x by": name, "class": classes[int(row["label"])]}
            line |= {"to class": classes[int(row["target"])]}
            line |= {title: _number(row.get(column), ".3g") for title, column in SIZES.items()}
            lines.append(line | {"sim(Δx, Δ̂x)": _number(row.get("cosine"), ".3f")})
    return Table(pd.DataFrame(lines))


def draw(records: Records, chosen: Sequence[Record]) -> Mapping[str, Figure]:
    """A grid for each estimator of images; vectors have none."""
    found: dict[str, Figure] = {}
    for record, name in _once_each(chosen):
        arrays = records.arrays(record)
        if arrays["x"].ndim == 4:
            title = f"{record.model.data}: residuals by {name}"
            drawn = _two_classes(arrays, title) if len(arrays["classes"]) == 2 else _many_classes(arrays, title)
            found[f"{slug(record.model.data)}-{slug(name)}"] = drawn
    return found


def _once_each(chosen: Sequence[Record]) -> list[tuple[Record, str]]:
    """One record for each estimator, on which classifiers have no influence, and how it is called."""
    kept: dict[tuple[str, str], tuple[Record, str]] = {}
    for record in chosen:
        judged = "estimators" in record.model.groups
        name = record.model.recipe if judged else str(record.quantity.settings["estimator"]["name"])
        same = (record.subject.samples.digest, name if judged else record.quantity.key)
        kept.setdefault(same, (record, name))
    return [*kept.values()]


def _listed(found: pd.DataFrame, classes: int) -> pd.DataFrame:
    if classes == 2:
        return found.groupby("label", sort=False).head(LISTED)
    closest = found.loc[found.groupby("index", sort=False)["norm_residual"].idxmin()]
    return closest.groupby("label", sort=False).head(1)


def _number(value: Any, form: str) -> str:
    return "–" if value is None or not np.isfinite(value) else f"{value:{form}}"


def _two_classes(arrays: Arrays, title: str) -> Figure:
    """A column for each sample: x, Δ̂x, x̂' and, where it is known, Δx."""
    low, high = arrays["bounds"]
    x = arrays["x"][arrays["sample"]]
    rows = {"x": (x, low, high), "Δ̂x": (arrays["residual"], low - high, high - low)}
    rows["x̂'"] = (x + arrays["residual"], low, high)
    if "exact" in arrays:
        rows["Δx"] = (arrays["exact"], low - high, high - low)
    grid = ImageGrid([*rows], [str(arrays["classes"][arrays["y"][sample]]) for sample in arrays["sample"]])
    for row, (images, bottom, top) in enumerate(rows.values()):
        for column, image in enumerate(images):
            grid.show(row, column, **in_bounds(image, bottom, top))
    return grid.titled(title)


def _many_classes(arrays: Arrays, title: str) -> Figure:
    """A row for each sample: x, and x̂' of every class; the place of its own class stays empty."""
    shown = sorted({*arrays["target"].tolist(), *arrays["y"].tolist()})
    names, (low, high) = arrays["classes"], arrays["bounds"]
    grid = ImageGrid([str(names[label]) for label in arrays["y"]], ["x", *(f"→ {names[c]}" for c in shown)])
    for row, image in enumerate(arrays["x"]):
        grid.show(row, 0, **in_bounds(image, low, high))
    for sample, target, residual in zip(arrays["sample"], arrays["target"], arrays["residual"], strict=True):
        moved = in_bounds(arrays["x"][sample] + residual, low, high)
        grid.show(int(sample), shown.index(target) + 1, **moved)
    return grid.titled(title)


RESIDUAL_GRID_FIGURE = FigureKind(
    "residual_grid",
    "Residuals to every other class (paper 1, Table 1, Figs. 6, 7, S1–S6)",
    (RESIDUAL_GRID,),
    measurements,
    table,
    draw,
)

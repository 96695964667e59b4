"""Cosine of clean and adversarial gradient, layer by layer and epoch by epoch: paper 2, Figs. 1 and S3 to S7."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.figures.kind import FigureKind, no_measurement
from eval.figures.panels import literal, over_epochs, panels, rows_by_data, titled
from eval.figures.style import LINE
from eval.records import Record, Records
from eval.records.identity import slug
from eval.tables import Row, Table

KIND = "layer_cosine"
ACROSS = 2
"""Maps in a line, whose layers need room for their names."""
LABELLED = 40
"""Layers up to which each is named beside a picture; of more, every second, third and so on."""


def table(records: Records, chosen: Sequence[Record]) -> Table:
    """One line per recipe: how often the gradients of a tensor opposed each other, and where they agreed least."""
    lines = []
    for row in [row for of_data in rows_by_data(chosen).values() for row in of_data]:
        cosines = pd.concat([records.per_sample(record) for record in row.records])
        lines.append({"data": row.data, "recipe": row.recipe, "models": str(row.models)} | _line(cosines))
    told = [
        "Cosines of g_n and g_a, each the mean over the steps of an epoch, weights and biases alike. Opposed: share "
        "of steps and tensors with a cosine below 0. Paper 2 draws iterations, of the weights of convolutions alone."
    ]
    return Table(pd.DataFrame(lines), told)


def _line(cosines: pd.DataFrame) -> dict[str, str]:
    by_layer = cosines.groupby("layer", sort=False).cosine.mean()
    least = str(by_layer.idxmin())
    return {
        "tensors": str(len(by_layer)),
        "mean cosine": f"{cosines.cosine.mean():.3f}",
        "opposed": f"{100 * cosines.opposed.mean():.1f} %",
        "smallest mean": f"{by_layer[least]:.3f} ({least})",
        "first epoch": f"{cosines[cosines.epoch == cosines.epoch.min()].cosine.mean():.3f}",
        "last epoch": f"{cosines[cosines.epoch == cosines.epoch.max()].cosine.mean():.3f}",
    }


def draw(records: Records, chosen: Sequence[Record]) -> Mapping[str, Figure]:
    """For each data set a map per recipe: epochs to the right, layers downwards; several models as their mean."""
    return {slug(data): _drawn(records, data, rows) for data, rows in rows_by_data(chosen).items()}


def _drawn(records: Records, data: str, rows: Sequence[Row]) -> Figure:
    maps = [_map(records, row) for row in rows]
    named = min(LABELLED, max(len(found) for found in maps))
    across = min(len(rows), ACROSS)
    figure, axes = panels(across, -(-len(rows) // across), 0.7 + LINE * named)
    for axis in axes[len(rows) :]:
        axis.remove()
    for axis, row, found in zip(axes, rows, maps, strict=False):
        _coloured(axis, found)
        axis.set_title(literal(row.recipe, 24))
    figure.colorbar(axes[0].images[0], ax=axes[: len(rows)], label="cos(g_n, g_a)", shrink=0.8)
    titled(figure, f"{data}: clean against adversarial gradient of every tensor")
    return figure


def _map(records: Records, row: Row) -> pd.DataFrame:
    """Mean cosines over the models of a row, layers × epochs, in the order of the network."""
    cosines = pd.concat([records.per_sample(record) for record in row.records])
    wide = cosines.pivot_table(index="layer", columns="epoch", values="cosine", sort=False)
    return wide.sort_index(axis=1)


def _coloured(axis: Axes, found: pd.DataFrame) -> None:
    axis.grid(visible=False)
    first, last = found.columns[0], found.columns[-1]
    extent = (first - 0.5, last + 0.5, len(found) - 0.5, -0.5)
    axis.imshow(found, aspect="auto", cmap="coolwarm_r", vmin=-1, vmax=1, extent=extent, interpolation="none")
    step = -(-len(found) // LABELLED)
    shown = np.arange(0, len(found), step)
    axis.set_yticks(shown, [literal(str(found.index[number])) for number in shown])
    over_epochs(axis)


LAYER_CONFLICT = FigureKind(
    "layer_conflict",
    "Cosine of clean and adversarial gradient per layer (paper 2, Figs. 1 and S3–S7)",
    (KIND,),
    no_measurement,
    table,
    draw,
)

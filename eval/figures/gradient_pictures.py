"""The picture of gradients beside the directions that they should have: images, or vectors by their components."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.figures.panels import literal

BRIGHTEST = 99.5
"""Percentile of the absolute values at which a picture of signed values is cut off."""
NARROW = 16
"""Characters of a heading above a picture."""
LARGEST = 12
"""Models in one picture, at most."""


@dataclass(frozen=True)
class Shown:
    """A model in the picture.

    Attributes:
        name: as its column is headed.
        arrays: x, gradient, bounds, classes, and residual where there is one.
        outcomes: label and target of each sample, and its cosine where there is a residual.
    """

    name: str
    arrays: Mapping[str, np.ndarray]
    outcomes: pd.DataFrame

    def direction(self, number: int) -> str:
        """Such as "3 → 5"."""
        line, classes = self.outcomes.iloc[number], self.arrays["classes"]
        return f"{classes[int(line.label)]} → {classes[int(line.target)]}"


def picture(data: str, models: Sequence[Shown]) -> Figure:
    """One row per sample, and columns x, Δx, x̂' = x + Δx and ∇ℓ of every model.

    Where the models have different closest classes, each ∇ℓ has its own Δx and x̂' before it. Of what is no image, the
    components of ∇ℓ are drawn against those of Δx.
    """
    models = models[:LARGEST]
    shape = models[0].arrays["x"].shape[1:]
    drawn = _images if len(shape) == 3 and shape[0] in (1, 3) else _vectors
    figure = drawn(models)
    figure.suptitle(f"{literal(data)}: {_shown_of(models[0])}" if drawn is _images else literal(data), fontsize=9)
    return figure


Column = tuple[str, Callable[[Axes, int], None]]
"""A heading, and what draws a sample into an axis."""


def _shown_of(model: Shown) -> str:
    return "x, Δx, x̂' = x + Δx and ∇ℓ" if "residual" in model.arrays else "x and ∇ℓ"


def _images(models: Sequence[Shown]) -> Figure:
    columns: list[Column] = [("x", partial(_input, models[0], False))]
    shared = len({tuple(model.outcomes.target) for model in models}) == 1
    has_residual = "residual" in models[0].arrays
    if shared and has_residual:
        columns.append(("Δx", partial(_directed, models[0], "residual", False)))
        columns.append(("x̂'", partial(_input, models[0], True)))
    for model in models:
        if has_residual and not shared:
            columns.append((f"{literal(model.name, NARROW)}\nΔx", partial(_directed, model, "residual", True)))
            columns.append((f"{literal(model.name, NARROW)}\nx̂'", partial(_input, model, True)))
        columns.append((f"{literal(model.name, NARROW)}\n∇ℓ", partial(_directed, model, "gradient", has_residual)))
    figure, axes = _grid(columns, len(models[0].outcomes), 1.1)
    for axis, number in zip(axes[:, 0], range(len(axes)), strict=True):
        label = models[0].direction(number)
        axis.set_ylabel(literal(label if shared else label.split(" → ")[0]), fontsize=7)
    return figure


def _vectors(models: Sequence[Shown]) -> Figure:
    columns = [(f"{literal(model.name, NARROW)}\n∇ℓ against Δx", partial(_components, model)) for model in models]
    figure, axes = _grid(columns, len(models[0].outcomes), 1.4)
    for axis, number in zip(axes[:, 0], range(len(axes)), strict=True):
        axis.set_ylabel(literal(models[0].direction(number)), fontsize=7)
    return figure


def _grid(columns: Sequence[Column], rows: int, size: float) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(size * len(columns) + 0.3, size * rows + 0.9), layout="constrained", dpi=150)
    axes = figure.subplots(rows, len(columns), squeeze=False)
    for place, (heading, drawn) in enumerate(columns):
        axes[0, place].set_title(heading, fontsize=7)
        for row in range(rows):
            axes[row, place].set(xticks=[], yticks=[])
            drawn(axes[row, place], row)
    return figure, axes


def _input(model: Shown, moved: bool, axis: Axes, row: int) -> None:
    """x, or where Δx moves it to: paper 1, Fig. S8."""
    low, high = model.arrays["bounds"]
    image = model.arrays["x"][row] + (model.arrays["residual"][row] if moved else 0)
    image = image.transpose(1, 2, 0)
    if not np.isfinite(high - low):
        low, high = image.min(), image.max()
    shown = np.clip((image - low) / (high - low), 0, 1)
    axis.imshow(shown.squeeze(-1) if shown.shape[-1] == 1 else shown, cmap="gray", vmin=0, vmax=1)


def _directed(model: Shown, what: str, told: bool, axis: Axes, row: int) -> None:
    """Δx with the class that it leads to, or ∇ℓ with the cosine between the two."""
    _signed(axis, model.arrays[what][row].transpose(1, 2, 0))
    line = model.outcomes.iloc[row]
    if told:
        arrow = f"→ {model.arrays['classes'][int(line.target)]}"
        axis.set_xlabel(literal(_cosine(line) if what == "gradient" else arrow), fontsize=6, labelpad=1)


def _cosine(line: pd.Series) -> str:
    """Of a sample; there is none where ∇ℓ or Δx is zero."""
    return f"{line.cosine:z.2f}" if line.valid else "no direction"


def _signed(axis: Axes, image: np.ndarray) -> None:
    """An image of signed values around zero: red and blue on white, or each channel around grey."""
    largest = np.percentile(np.abs(image), BRIGHTEST) or np.abs(image).max() or 1.0
    if image.shape[-1] == 1:
        axis.imshow(image.squeeze(-1), cmap="RdBu_r", vmin=-largest, vmax=largest)
    else:
        axis.imshow(np.clip(0.5 + image / (2 * largest), 0, 1))


def _components(model: Shown, axis: Axes, row: int) -> None:
    """Components of ∇ℓ against those of Δx, both of length 1: on the diagonal where the two are aligned."""
    gradient = _of_length_1(model.arrays["gradient"][row])
    if "residual" not in model.arrays:
        axis.bar(range(min(len(gradient), 30)), gradient[:30], color="#6b7280")
        return
    residual = _of_length_1(model.arrays["residual"][row])
    reach = 1.05 * max(np.abs(gradient).max(), np.abs(residual).max())
    axis.plot([-reach, reach], [-reach, reach], color="black", lw=0.6, ls=":")
    axis.plot(residual, gradient, ".", ms=2, color="#2563eb")
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach))
    axis.set_xlabel(_cosine(model.outcomes.iloc[row]), fontsize=6, labelpad=1)


def _of_length_1(vector: np.ndarray) -> np.ndarray:
    flat = vector.reshape(-1).astype(np.float64)
    return flat / (np.linalg.norm(flat) or 1.0)

"""The picture of gradients beside the directions that they should have: images, or vectors by their components."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.figures.image_grid import NARROW, ImageGrid, in_bounds
from eval.figures.panels import literal, panels, titled
from eval.figures.style import CLOUD, COLOURS

BRIGHTEST = 99.5
"""Percentile of the absolute values at which a picture of signed values is cut off."""
FEWEST = 4
"""Samples that all models must agree about for these to be shown alone."""
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

    def only(self, samples: Sequence[int]) -> "Shown":
        """The same of some samples."""
        per_sample = ("x", "gradient", "residual")
        arrays = {key: array[[*samples]] if key in per_sample else array for key, array in self.arrays.items()}
        return Shown(self.name, arrays, self.outcomes.iloc[[*samples]])

    def direction(self, number: int) -> str:
        """Such as "3 → 5"."""
        line, classes = self.outcomes.iloc[number], self.arrays["classes"]
        return f"{classes[int(line.label)]} → {classes[int(line.target)]}"


def picture(data: str, models: Sequence[Shown]) -> Figure:
    """One column per sample, and rows x, Δx, x̂' = x + Δx and ∇ℓ of every model.

    Samples are drawn that have the same closest class under all models. Where those are too few, all are, and each ∇ℓ
    has its own Δx and x̂' above it. Of what is no image, the components of ∇ℓ are drawn against those of Δx.
    """
    models = models[:LARGEST]
    agreed = _agreed(models)
    title = data if len(agreed) == len(models[0].outcomes) else f"{data}, where all models have one closest class"
    models = [model.only(agreed) for model in models]
    shape = models[0].arrays["x"].shape[1:]
    is_image = len(shape) == 3 and shape[0] in (1, 3)
    return _images(title, models) if is_image else _vectors(title, models)


def _agreed(models: Sequence[Shown]) -> list[int]:
    """The samples that have one closest class under all models; all samples where those are too few."""
    targets = np.array([model.outcomes.target for model in models])
    agreed = np.flatnonzero((targets == targets[0]).all(axis=0))
    return agreed.tolist() if len(agreed) >= FEWEST else [*range(targets.shape[1])]


@dataclass(frozen=True)
class Line:
    """A row of the picture: a heading, the image of each sample as it is drawn, and what stands below it."""

    heading: str
    drawn: Callable[[int], dict[str, Any]]
    told: Callable[[int], str] | None = None


def _images(title: str, models: Sequence[Shown]) -> Figure:
    shared = len({tuple(model.outcomes.target) for model in models}) == 1
    lines = _lines(models, shared)
    samples = range(len(models[0].outcomes))
    names = [models[0].direction(number) for number in samples]
    columns = names if shared else [name.split(" → ")[0] for name in names]
    told = [row for row, line in enumerate(lines) if line.told]
    grid = ImageGrid([line.heading for line in lines], columns, told)
    for row, line in enumerate(lines):
        for number in samples:
            grid.show(row, number, **line.drawn(number))
            if line.told:
                grid.tell(row, number, line.told(number))
    return grid.titled(f"{title}: {_shown_of(models[0])}")


def _lines(models: Sequence[Shown], shared: bool) -> list[Line]:
    lines = [Line("x", partial(_input, models[0], False))]
    has_residual = "residual" in models[0].arrays
    if shared and has_residual:
        lines.append(Line("Δx", partial(_signed, models[0].arrays["residual"])))
        lines.append(Line("x̂'", partial(_input, models[0], True)))
    for model in models:
        if has_residual and not shared:
            residual = partial(_signed, model.arrays["residual"])
            lines.append(Line(f"Δx, {model.name}", residual, partial(_leads_to, model)))
            lines.append(Line(f"x̂', {model.name}", partial(_input, model, True)))
        told = partial(_cosine, model) if has_residual else None
        lines.append(Line(f"∇ℓ, {model.name}", partial(_signed, model.arrays["gradient"]), told))
    return lines


def _shown_of(model: Shown) -> str:
    return "x, Δx, x̂' = x + Δx and ∇ℓ" if "residual" in model.arrays else "x and ∇ℓ"


def _vectors(title: str, models: Sequence[Shown]) -> Figure:
    samples = range(len(models[0].outcomes))
    figure, found = panels(max(len(samples), 2), len(models), height=1.2)
    axes = np.array(found, dtype=object).reshape(len(models), -1)
    for axis in axes[:, len(samples) :].flat:
        axis.remove()
    for line, model in zip(axes, models, strict=True):
        line[0].set_ylabel(literal(f"∇ℓ, {model.name}", NARROW))
        for axis, number in zip(line, samples, strict=False):
            axis.set(xticks=[], yticks=[])
            _components(model, axis, number)
    for axis, number in zip(axes[0], samples, strict=False):
        axis.set_title(literal(models[0].direction(number), 14))
    against = " against those of Δx" if "residual" in models[0].arrays else ""
    titled(figure, f"{title}: components of ∇ℓ{against}")
    return figure


def _input(model: Shown, moved: bool, number: int) -> dict[str, Any]:
    """x, or where Δx moves it to: paper 1, Fig. S8."""
    low, high = model.arrays["bounds"]
    image = model.arrays["x"][number] + (model.arrays["residual"][number] if moved else 0)
    if not np.isfinite(high - low):
        low, high = image.min(), image.max()
    return in_bounds(image, low, high)


def _leads_to(model: Shown, number: int) -> str:
    """The class that Δx leads to."""
    return f"→ {model.arrays['classes'][int(model.outcomes.iloc[number].target)]}"


def _cosine(model: Shown, number: int) -> str:
    """Between ∇ℓ and Δx; there is none where one of the two is zero."""
    line = model.outcomes.iloc[number]
    return f"{line.cosine:z.2f}" if line.valid else "none"


def _signed(images: np.ndarray, number: int) -> dict[str, Any]:
    """An image of signed values around zero: red and blue on white, or each channel around grey."""
    image = images[number].transpose(1, 2, 0)
    largest = np.percentile(np.abs(image), BRIGHTEST) or np.abs(image).max() or 1.0
    if image.shape[-1] == 1:
        return {"image": image.squeeze(-1), "cmap": "RdBu_r", "vmin": -largest, "vmax": largest}
    return {"image": np.clip(0.5 + image / (2 * largest), 0, 1)}


def _components(model: Shown, axis: Axes, number: int) -> None:
    """Components of ∇ℓ against those of Δx, both of length 1: on the diagonal where the two are aligned."""
    gradient = _of_length_1(model.arrays["gradient"][number])
    if "residual" not in model.arrays:
        axis.bar(range(min(len(gradient), 30)), gradient[:30], color=COLOURS["B"])
        return
    residual = _of_length_1(model.arrays["residual"][number])
    reach = 1.05 * max(np.abs(gradient).max(), np.abs(residual).max())
    axis.plot([-reach, reach], [-reach, reach], color="black", lw=0.6, ls=":")
    axis.plot(residual, gradient, ".", ms=2, mew=0, color=COLOURS["P"], rasterized=len(gradient) > CLOUD)
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach))
    axis.set_xlabel(_cosine(model, number), labelpad=1)


def _of_length_1(vector: np.ndarray) -> np.ndarray:
    flat = vector.reshape(-1).astype(np.float64)
    return flat / (np.linalg.norm(flat) or 1.0)

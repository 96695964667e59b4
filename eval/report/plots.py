"""The plots of a report, from saved records."""

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.figure import Figure

from eval.figures.image_grid import ImageGrid, in_bounds
from eval.figures.saving import saved
from eval.figures.style import style
from eval.records import Records
from eval.records.identity import slug
from eval.records.quantity import RADII
from eval.report.correlation_plot import correlation_figures
from eval.report.curves_plot import attacks, curves, sweep_curves
from eval.report.front_plot import front_figures
from eval.report.of_figures import figure_pictures
from eval.report.subject_picture import subject_figures
from eval.report.sweep_grid import sweep_grids
from eval.report.sweep_plots import sweep_figures
from eval.report.sweeps import MANY, pictured, sweeps
from eval.report.tables import ESTIMATORS, compared
from eval.tables.rows import rows, subjects_of


def all_plots(records: Records) -> dict[str, bytes]:
    """Every plot that the records allow, by file name: as SVG and, where they are not too many, as PDF."""
    with style():
        return {
            file: kept
            for make in MAKERS  # one kind after the other, so that no more than its figures are in memory
            for name, figure in make(records).items()
            for file, kept in saved(name, figure, pdf=len(records) < MANY).items()
        }


def all_figures(records: Records) -> dict[str, Figure]:
    """Every figure that the records allow, by name."""
    with style():
        return {name: figure for make in MAKERS for name, figure in make(records).items()}


def _of_radii(records: Records) -> dict[str, Figure]:
    """Accuracy against strength: of each data set, of each model under several attacks, and of each sweep."""
    figures: dict[str, Figure] = {}
    radii = rows(r for r in compared(records) if r.quantity.kind in RADII)
    for data in dict.fromkeys(row.data for row in radii):
        figures[f"curves-{slug(data)}"] = curves(records, [row for row in radii if row.data == data])
    several = [(row, own) for row in radii for own in subjects_of(row.records).values() if len(own) > 2]
    for row, own in several[: pictured(records)]:
        figures[f"attacks-{records.home(own[0])}"] = attacks(records, row, own)
    for group in sweeps(records)[: pictured(records)]:
        if with_radii := [row for row in group.rows if any(r.quantity.kind in RADII for r in row.records)]:
            name = slug(f"{group.data}-{group.recipe}-{'-'.join(group.names)}")
            figures[f"sweep-curves-{name}"] = sweep_curves(records, group, with_radii)
    return figures


def _of_estimators(records: Records) -> dict[str, Figure]:
    """What residual estimators of images make of one sample of each class, for each data set."""
    figures = {}
    estimators = rows(r for r in records if ESTIMATORS in r.model.groups)
    for data in dict.fromkeys(row.data for row in estimators):
        drawn = {row.recipe: records.examples(row.records[0]) for row in estimators if row.data == data}
        pictures = {name: arrays for name, arrays in drawn.items() if arrays is not None and arrays["x"].ndim == 4}
        if pictures:
            figures[f"residuals-{slug(data)}"] = residuals(data, pictures)
    return figures


def residuals(data: str, examples: dict[str, dict[str, np.ndarray]]) -> Figure:
    """A column per sample, one of each class: x, Δx where it is known, and Δ̂x and x̂' of every estimator."""
    first = next(iter(examples.values()))
    low, high = first["bounds"]
    drawn = {"x": (first["x"], low, high)}
    if "exact" in first:
        drawn["Δx"] = (first["exact"], low - high, high - low)
    for name, arrays in examples.items():
        drawn[f"Δ̂x, {name}"] = (arrays["residual"], low - high, high - low)
        drawn[f"x̂', {name}"] = (arrays["x"] + arrays["residual"], low, high)
    classes = first["classes"]
    ways = [f"{classes[y]} → {classes[target]}" for y, target in zip(first["y"], first["target"], strict=True)]
    grid = ImageGrid([*drawn], ways)
    for row, (images, bottom, top) in enumerate(drawn.values()):
        for column, image in enumerate(images):
            grid.show(row, column, **in_bounds(image, bottom, top))
    return grid.titled(f"{data}: residuals to another class")


MAKERS: tuple[Callable[[Records], Mapping[str, Figure]], ...] = (
    _of_radii,
    _of_estimators,
    sweep_figures,
    sweep_grids,
    front_figures,
    correlation_figures,
    figure_pictures,
    subject_figures,
)
"""What makes pictures, in the order in which they stand in the folder."""

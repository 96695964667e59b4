"""Fronts as pictures: the models of each sweep, the front through the means of its settings, and the area below."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.figures.panels import legend_below, literal, panels, titled
from eval.figures.style import PAGE, Look, looks_of
from eval.records import Records
from eval.records.identity import slug
from eval.records.quantity import SHARES
from eval.report.fronts import Front, Fronts, all_fronts
from eval.studies.fronts import non_dominated


def front_figures(records: Records) -> dict[str, Figure]:
    """A picture per front that is asked for, by name."""
    return {
        f"front-{slug(f'{fronts.data}-{fronts.x.name}-{fronts.y.name}')}": front_figure(fronts)
        for fronts in all_fronts(records)
    }


def front_figure(fronts: Fronts) -> Figure:
    """One colour per sweep: a mark with bars over seeds per setting, hollow where it is dominated by another."""
    figure, (axis,) = panels(1, height=3.0)
    figure.set_figwidth(PAGE)
    factor = np.array([100.0 if quantity.kind in SHARES else 1.0 for quantity in (fronts.x, fronts.y)])
    for front, look in zip(fronts.fronts, looks_of(front.recipe for front in fronts.fronts), strict=True):
        _draw(axis, front, fronts.signs, factor, factor * fronts.reference, look)
    axis.plot(*(factor * fronts.reference), marker="x", color="black", ls="", label="reference of the area")
    axis.set(xlabel=fronts.x.title, ylabel=fronts.y.title)
    legend_below(figure, [axis])
    titled(figure, f"{fronts.data}: fronts over the settings of each sweep")
    return figure


def _draw(axis: Axes, front: Front, signs: np.ndarray, factor: np.ndarray, reference: np.ndarray, look: Look) -> None:
    means = front.means()
    points, over = means[["x", "y"]].to_numpy() * factor, means[["x_over", "y_over"]].fillna(0).to_numpy() * factor
    on_front = non_dominated(points * signs)
    left, bottom = points.T
    axis.errorbar(left, bottom, over[:, 1], over[:, 0], color=look.color, ls="", lw=0.8)
    filled = [look.color if on else "white" for on in on_front]
    axis.scatter(left, bottom, color=filled, edgecolors=look.color, marker=look.marker, s=20, zorder=3)
    x, y = _stairs(points[on_front], signs, reference)
    axis.plot(x, y, **look.line, label=literal(front.title, 60))
    axis.fill_between(x, y, reference[1], color=look.color, alpha=0.08, lw=0)
    for place, told in zip(points, means.index, strict=True):
        axis.annotate(literal(told), tuple(place), (4, 4), textcoords="offset points", color=look.color)


def _stairs(points: np.ndarray, signs: np.ndarray, reference: np.ndarray) -> tuple[Sequence[float], Sequence[float]]:
    """The edge of the part in which a front is at least as good in both, from one side of it to the other."""
    ordered = points[np.argsort(points[:, 0] * signs[0])]
    x, y = [reference[0]], [ordered[0, 1]]
    for place, (right, height) in enumerate(ordered):
        x += [right, right]
        y += [height, ordered[place + 1, 1] if place + 1 < len(ordered) else reference[1]]
    return x, y

"""Alignment against robustness, model by model, with the means of settings joined: paper 1, Figure S7."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from eval.figures.panels import levels, literal, panels
from eval.records import Quantity, Records
from eval.records.identity import slug
from eval.records.subject import SETTINGS
from eval.report.correlating import beside, correlated, is_alignment, is_robustness
from eval.report.sweeps import Sweep, number_of


def correlation_figures(records: Records) -> dict[str, Figure]:
    """A picture per group of models, by name; none of those without alignment or robustness."""
    everything = correlated(records)
    groups, frame = everything.groups, everything.frame
    on_data = [group.data for group in groups]
    figures = {}
    for place, group in enumerate(groups):
        figure = correlation(group, frame[frame.data == place], everything.quantities)
        alone = on_data.count(group.data) == 1
        name = f"correlation-{slug(group.data)}" if alone else f"correlation-{slug(group.data)}-{slug(group.title)}"
        if figure is not None:
            figures[name] = figure
    return figures


def correlation(group: Sweep, frame: pd.DataFrame, quantities: Mapping[str, Quantity]) -> Figure | None:
    """One row of panels for each measure of robustness, one column for each metric of alignment.

    Args:
        group: the models.
        frame: their numbers, see `eval.report.sweeps.numbers`.
        quantities: what stands behind each title.
    """
    wide = frame.pivot_table(index=["setting", "seed"], columns="measurement", values="value").reset_index()
    here = sorted((title for title in quantities if title in wide), key=lambda title: quantities[title].rank)
    metrics = [title for title in here if is_alignment(quantities[title])]
    radii = [title for title in here if is_robustness(quantities[title])]
    if not metrics or not radii:
        return None
    title, named = _levels(group)
    wide["level"] = [named[setting] for setting in wide.setting]
    order = [level for level in dict.fromkeys(named) if level in {*wide.level}]
    figure, axes = panels(len(metrics), len(radii))
    for axis, (radius, metric) in zip(axes, product(radii, metrics), strict=True):
        _points(axis, wide, metric, radius, order)
        if title != "recipe":
            _means(axis, wide, metric, radius, order)
        theirs = beside(group, quantities[metric], quantities[radius])
        axis.set(xlabel=metric, ylabel=radius)
        axis.set_title(_told(wide[metric].to_numpy(), wide[radius].to_numpy(), theirs), fontsize=8)
    axes[-1].legend(title=title, frameon=False, fontsize=8)
    over = f" trained at several {title.removeprefix('training ')}" if group.names else ""
    recipe = f", {group.recipe}" if group.recipe else ""
    figure.suptitle(literal(f"{group.data}{recipe}: alignment and robustness of models{over}"), fontsize=10)
    return figure


def _levels(group: Sweep) -> tuple[str, list[str]]:
    """What colours mean, and the level of each row: its settings, or ε or else recipe of what was measured."""
    models = [row.records[0].model for row in group.rows]
    if len(group.names) == 1:
        (name,) = group.names
        return _of_training(name), [model.value_of(name) for model in models]
    if group.names:
        return " and ".join(SETTINGS.get(name, name) for name in group.names), [m.told(group.names) for m in models]
    if any(model.epsilon for model in models):
        return _of_training("epsilon"), [model.epsilon or "none" for model in models]
    return "recipe", [row.recipe for row in group.rows]


def _of_training(name: str) -> str:
    return f"training {SETTINGS[name]}" if name == "epsilon" else SETTINGS.get(name, name)


def _points(axis: Axes, wide: pd.DataFrame, metric: str, radius: str, order: Sequence[str]) -> None:
    for level, colour in zip(order, levels(len(order)), strict=True):
        chosen = wide[wide.level == level]
        axis.scatter(chosen[metric], chosen[radius], color=[colour], s=28, label=literal(level))


def _means(axis: Axes, wide: pd.DataFrame, metric: str, radius: str, order: Sequence[str]) -> None:
    """A line through the means of settings, in their order."""
    finite = wide[np.isfinite(wide[[metric, radius]]).all(axis=1)]
    means = finite.groupby("level")[[metric, radius]].mean()
    found = means.loc[[level for level in _by_value(order) if level in means.index]]
    axis.plot(found[metric], found[radius], color="black", lw=0.8, alpha=0.6, zorder=0)


def _by_value(order: Sequence[str]) -> list[str]:
    values = {level: number_of(level) for level in order}
    if any(value is None for value in values.values()):
        return [*order]
    return sorted(order, key=lambda level: values[level] or 0.0)


def _told(metric: np.ndarray, radius: np.ndarray, theirs: str) -> str:
    """Pearson's correlation of what is drawn, beside the paper's."""
    finite = np.isfinite(metric) & np.isfinite(radius)
    a, b = metric[finite], radius[finite]
    ours = f"{stats.pearsonr(a, b).statistic:.3f}" if len(a) > 2 and np.ptp(a) > 0 and np.ptp(b) > 0 else "–"
    said = (
        "" if theirs == "–" else f"; the paper's is {theirs.partition(',')[0]}{', of other models' * (',' in theirs)}"
    )
    return f"Pearson {ours}{said}"

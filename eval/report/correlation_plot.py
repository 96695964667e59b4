"""Alignment against robustness, model by model, with intervals and a line through them: paper 1, Figure S7."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from eval.figures.panels import ACROSS, legend_below, levels, literal, panels, titled
from eval.figures.style import COLOURS, MARKERS, Look
from eval.records import Quantity, Records
from eval.records.identity import slug
from eval.records.subject import SETTINGS
from eval.report.correlating import beside, correlated, is_alignment, is_robustness
from eval.report.sweeps import Sweep, axis_title, pictured
from eval.tables.cells import correlation_told

LOW = 1.8
"""Inches of a panel where there are many lines of them."""
ALL = ""
"""In place of a level, where all look alike."""
MOST = 12
"""Levels that a legend tells apart."""


def correlation_figures(records: Records) -> dict[str, Figure]:
    """A picture per group of models, by name; none of those without alignment or robustness."""
    everything = correlated(records)
    told = everything.between(is_alignment, is_robustness, ["Pearson"])
    on_data = [group.data for group in everything.groups]
    figures = {}
    for place, group in enumerate(everything.groups[: pictured(records)]):
        here = told[told["data"] == place]
        alone = on_data.count(group.data) == 1
        name = f"correlation-{slug(group.data)}" if alone else f"correlation-{slug(group.data)}-{slug(group.title)}"
        numbers = everything.frame[everything.frame["data"] == place]
        known = {*numbers.dropna(subset="value").measurement}  # models that guess have no numbers
        here = here[here.metric.isin(known) & here.robustness.isin(known)]
        if len(here):
            figures[name] = correlation(group, numbers, everything.quantities, here)
    return figures


def correlation(group: Sweep, frame: pd.DataFrame, quantities: Mapping[str, Quantity], told: pd.DataFrame) -> Figure:
    """One row of panels for each measure of robustness, one column for each metric of alignment.

    A point is a model, with the intervals of both numbers; the line is the least squares' one.

    Args:
        group: the models.
        frame: their numbers, see `eval.report.sweeps.numbers`.
        quantities: what stands behind each title.
        told: Pearson's correlations of them, as the table has them.
    """
    wide = frame.pivot_table(index=["setting", "seed"], columns="measurement", values=["value", "low", "high"])
    title, named = _levels(group)
    wide["level", ""] = [named[setting] for setting in wide.index.get_level_values("setting")]
    looks = _looks([level for level in dict.fromkeys(named) if level in {*wide["level", ""]}])
    ranked = told.sort_values(["robustness", "metric"], key=lambda column: column.map(lambda t: quantities[t].rank))
    across, down = _shape(ranked)
    figure, axes = panels(across, down, LOW if down > 2 else None)
    for axis, line in zip(axes, ranked.itertuples(), strict=False):
        _points(axis, wide, str(line.metric), str(line.robustness), looks)
        _fitted(axis, wide, str(line.metric), str(line.robustness))
        theirs = beside(group, quantities[str(line.metric)], quantities[str(line.robustness)])
        axis.set(xlabel=literal(str(line.metric), 40), ylabel=literal(str(line.robustness), 28))
        axis.set_title(_told(line, theirs), loc="left")
    for axis in axes[len(ranked) :]:
        axis.remove()
    legend_below(figure, axes[:1], f"{title}:" if len(looks) > 1 else "")
    over = f" trained at several {title.removeprefix('training ')}" if group.names else ""
    recipe = f", {group.recipe}" if group.recipe else ""
    titled(figure, f"{group.data}{recipe}: alignment and robustness of models{over}")
    return figure


def _shape(told: pd.DataFrame) -> tuple[int, int]:
    """Panels across, one per metric where they fit, and down."""
    metrics = told.metric.nunique()
    across = metrics if 1 < metrics <= ACROSS else min(len(told), 2)
    return across, -(-len(told) // across)


def _levels(group: Sweep) -> tuple[str, list[str]]:
    """What colours mean, and the level of each row: its settings, or ε or else recipe of what was measured."""
    models = [row.records[0].model for row in group.rows]
    if len(group.names) == 1:
        (name,) = group.names
        return axis_title(name), [model.value_of(name) for model in models]
    if group.names:
        return " and ".join(SETTINGS.get(name, name) for name in group.names), [m.told(group.names) for m in models]
    if any(model.epsilon for model in models):
        return axis_title("epsilon"), [model.epsilon or "none" for model in models]
    return "recipe", [row.recipe for row in group.rows]


def _looks(levels_of: Sequence[str]) -> dict[str, Look]:
    """A look for each level, from dark to bright in their order; one for all where those are too many to be told."""
    if len(levels_of) > MOST:
        return {ALL: Look(COLOURS["P"], "", "o")}
    colours = zip(levels(len(levels_of)), levels_of, strict=True)
    return {level: Look(colour, "", MARKERS[i % len(MARKERS)]) for i, (colour, level) in enumerate(colours)}


def _points(axis: Axes, wide: pd.DataFrame, metric: str, radius: str, looks: Mapping[str, Look]) -> None:
    """A mark per model, with the intervals of both of its numbers where they have one."""
    for level, look in looks.items():
        chosen = wide if level == ALL else wide[wide["level", ""] == level]
        x, y = chosen["value", metric], chosen["value", radius]
        label = None if level == ALL else literal(level)
        how: Any = {"color": look.color, "marker": look.marker, "ls": "", "elinewidth": 0.6, "capsize": 0}
        axis.errorbar(x, y, _reach(chosen, radius), _reach(chosen, metric), label=label, **how)


def _reach(chosen: pd.DataFrame, title: str) -> np.ndarray:
    """How far an interval reaches to both sides of its value, `(2, models)`; not at all where there is none."""
    value = chosen["value", title]
    low, high = (chosen.get((end, title), value) for end in ("low", "high"))
    reach = np.abs([value - low, high - value])
    return np.where(np.isfinite(reach), reach, 0.0)


def _fitted(axis: Axes, wide: pd.DataFrame, metric: str, radius: str) -> None:
    """The line of least squares, where more than two models differ in what is measured."""
    pairs = wide["value"][[metric, radius]].to_numpy(float)
    x, y = pairs[np.isfinite(pairs).all(axis=1)].T
    if len(x) > 2 and np.ptp(x) > 0:
        line = stats.linregress(x, y)
        ends = np.array([x.min(), x.max()])
        axis.plot(ends, line.intercept + line.slope * ends, color="black", lw=0.9, ls="--", zorder=1)


def _told(line: Any, theirs: str) -> str:
    """Pearson's correlation with its interval and the number of models, as the table has it; the paper's below."""
    ours = f"r = {correlation_told(line.value, line.low, line.high)}, n = {line.models}"
    if theirs == "–":
        return ours
    value, comma, _ = theirs.partition(",")
    return f"{ours}\npaper: r = {value}{', of other models' * bool(comma)}"

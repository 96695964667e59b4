"""Interactive views in the language of Vega-Lite: models of a correlation, and curves to pick from.

Their numbers are those of the tables: the frame that correlations are of, and the outcomes behind ε50%.
"""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from eval.figures.panels import colours_of
from eval.records import Records
from eval.records.quantity import RADII
from eval.report.content.parts import Chart
from eval.report.correlating import Correlated, correlated, is_alignment, is_robustness
from eval.report.curves_plot import middles
from eval.report.sweeps import Sweep
from eval.report.tables import compared
from eval.tables.rows import Row, column_titles, rows

POINTS = 4000
"""Points of all curves of a view together, at most; and no curve has fewer than `FEWEST`."""
FEWEST, MOST = 12, 60
DIGITS = 4
"""That count, of numbers in a view."""
SIZE = {"width": "container", "height": 320}
CONFIG = {
    "background": "white",
    "view": {"stroke": None},
    "axis": {"gridOpacity": 0.4},
    "font": "system-ui, sans-serif",
}


def correlation_charts(records: Records) -> list[Chart]:
    """A view per group of models, of every metric of alignment against every measure of robustness."""
    everything = correlated(records)
    found = []
    for place, group in enumerate(everything.groups):
        if points := _points(everything, place, group):
            name = f"{group.data}, {group.title}" if group.names else group.data
            caption = f"{name}: one point per model. Point at one to see its setting, seed and numbers."
            found.append(Chart(f"models-{place}", caption, _scatter(points)))
    return found


def _points(everything: Correlated, place: int, group: Sweep) -> list[dict[str, Any]]:
    """A row per model and pair of measurements."""
    frame = everything.frame[everything.frame.data == place]
    wide = frame.pivot_table(index=["setting", "seed"], columns="measurement", values="value").reset_index()
    ranks = {title: quantity.rank for title, quantity in everything.quantities.items()}
    titles = sorted((title for title in ranks if title in wide), key=lambda title: ranks[title])
    metrics, strengths = (
        [title for title in titles if chosen(everything.quantities[title])]
        for chosen in (is_alignment, is_robustness)
    )
    found = []
    for line, (metric, strength) in product(wide.to_dict("records"), product(metrics, strengths)):
        if np.isfinite([line[metric], line[strength]]).all():
            model = group.rows[int(line["setting"])]
            told = {"model": _named(model, group), "setting": _setting(model, group), "seed": _seed(model, line)}
            pair = {"alignment": metric, "robustness": strength}
            found.append(told | pair | {"x": _short(line[metric]), "y": _short(line[strength])})
    return found


def _named(row: Row, group: Sweep) -> str:
    return group.recipe or row.recipe


def _setting(row: Row, group: Sweep) -> str:
    model = row.records[0].model
    return model.told(group.names) if group.names else (f"ε = {model.epsilon}" if model.epsilon else "none")


def _seed(row: Row, line: dict[str, Any]) -> int:
    """The seed of the model that has a number in its row."""
    models = list(dict.fromkeys(record.subject.model_key for record in row.records))
    wanted = models[int(line["seed"])]
    return next(record.model.seed for record in row.records if record.subject.model_key == wanted)


def _scatter(points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    choices = {key: list(dict.fromkeys(point[key] for point in points)) for key in ("alignment", "robustness")}
    levels = list(dict.fromkeys(point["setting"] for point in points))
    swept = len(levels) > 1
    by = {"field": "setting", "sort": levels, "scale": {"scheme": "viridis"}} if swept else {"field": "model"}
    told = [_told("model"), _told("setting"), _told("seed"), _told("x", "alignment"), _told("y", "robustness")]
    encoding = {
        "x": _axis("x", "alignment"),
        "y": _axis("y", "robustness"),
        "color": {"type": "nominal", **by},
        "tooltip": told,
    }
    mark = {"type": "point", "filled": True, "size": 70, "stroke": "black", "strokeWidth": 0.5, "opacity": 0.9}
    return _spec(points, mark, encoding, choices)


def curve_charts(records: Records) -> list[Chart]:
    """A view per data set with the curve of every model under every attack."""
    radii = rows(r for r in compared(records) if r.quantity.kind in RADII)
    titles = column_titles(record for row in radii for record in row.records)
    found = []
    for place, data in enumerate(dict.fromkeys(row.data for row in radii)):
        drawn = [(row, record) for row in radii if row.data == data for record in row.records]
        drawn = sorted(drawn, key=lambda pair: pair[1].quantity.rank)
        most = int(np.clip(POINTS // len(drawn), FEWEST, MOST))
        points = [
            {"model": row.recipe, "seed": record.model.seed, "attack": _attack(titles[record.quantity])} | point
            for row, record in drawn
            for point in _curve(records.per_sample(record), most)
        ]
        caption = f"{data}: one line per model. Choose an attack; click on a model in the legend to pick it out."
        recipes = [row.recipe for row in radii if row.data == data]
        found.append(Chart(f"curves-{place}", caption, _lines(points, recipes)))
    return found


def _attack(title: str) -> str:
    """What stands behind ε50% or τ50%."""
    return title.partition(" ")[2]


def _curve(outcomes: pd.DataFrame, most: int) -> Iterable[dict[str, float]]:
    """Accuracy in per cent where it changes: the share of radii above each strength."""
    middle = middles(outcomes)
    reached = np.sort(middle[np.isfinite(middle)])
    left = 100 * (1 - np.searchsorted(reached, reached, side="right") / len(middle))
    start = 100 * float((middle > 0).mean())
    chosen = np.unique(np.linspace(0, len(reached) - 1, min(most, len(reached))).round().astype(int))
    yield {"epsilon": 0.0, "accuracy": _short(start)}
    for place in chosen:
        if reached[place] > 0:
            yield {"epsilon": _short(reached[place]), "accuracy": _short(left[place])}


def _lines(points: Sequence[dict[str, Any]], recipes: Sequence[str]) -> dict[str, Any]:
    names = list(dict.fromkeys(recipes))
    picked = {"name": "picked", "select": {"type": "point", "fields": ["model"]}, "bind": "legend"}
    encoding = {
        "x": _axis("epsilon", "ε"),
        "y": _axis("accuracy", "accuracy under attack, %"),
        "color": {
            "field": "model",
            "type": "nominal",
            "scale": {"domain": names, "range": [*colours_of(names)]},
        },
        "strokeDash": {"field": "model", "type": "nominal", "scale": {"domain": names}},
        "detail": {"field": "seed", "type": "nominal"},
        "opacity": {"condition": {"param": "picked", "value": 1}, "value": 0.12},
        "tooltip": [_told(key) for key in ("model", "seed", "epsilon", "accuracy")],
    }
    mark = {"type": "line", "strokeWidth": 2}
    choices = {"attack": list(dict.fromkeys(point["attack"] for point in points))}
    return _spec(points, mark, encoding, choices, [picked])


def _spec(
    points: Sequence[dict[str, Any]],
    mark: dict[str, Any],
    encoding: dict[str, Any],
    choices: dict[str, list[str]],
    more: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """A view in which what is drawn is chosen from lists."""
    chosen = [
        {"name": f"chosen_{key}", "value": values[0], "bind": _list(key, values)} for key, values in choices.items()
    ]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "data": {"values": [*points]},
        "params": [*chosen, *more],
        "transform": [{"filter": f"datum.{key} === chosen_{key}"} for key in choices],
        "mark": mark,
        "encoding": encoding,
        "config": CONFIG,
        **SIZE,
    }


def _list(name: str, values: Sequence[str]) -> dict[str, Any]:
    return {"input": "select", "options": [*values], "name": f"{name} "}


def _axis(field: str, title: str) -> dict[str, Any]:
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": {"zero": field in ("epsilon", "accuracy")},
    }


def _told(field: str, title: str = "") -> dict[str, Any]:
    return {"field": field, "title": title or {"epsilon": "ε"}.get(field, field), "type": "nominal"}


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")

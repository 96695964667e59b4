"""The tables of a report, as text ready to print."""

import math
from functools import cache
from importlib import resources
from typing import Any

import pandas as pd
import yaml

from eval.results import Record, Results
from eval.studies.correlation import correlations

TITLES = {
    "accuracy": "accuracy %",
    "epsilon50_pgd_linf": "ε50% PGD L∞",
    "epsilon50_pgd_l2": "ε50% PGD L2",
    "alpha_dx": "α_Δx",
    "alpha_x": "α_x",
}
HALF_DISTANCE = 0.15
"""½‖Δx‖ on Spheres: what ε50%/α is for a model that is linear along Δx (paper 1, after Theorem 2)."""


def side_by_side(results: Results) -> pd.DataFrame:
    """One row per data set and recipe, mean ± deviation over seeds, with the paper's row below where it exists."""
    frame = results.frame()
    ceilings = {r.measurement: r.settings.get("epsilon_max") for r in results.records()}
    chosen = frame[frame.group != "sweep"]
    rows = []
    for (data, recipe), part in _in_order(chosen):
        rows.append(_row(data, recipe, str(part.seed.nunique()), _measured(part, ceilings)))
        published = _published()["table2"].get(data, {}).get(recipe)
        if published is not None:
            rows.append(
                _row("", "  paper", "5", {name: _spread(pair[0], pair[1], name) for name, pair in published.items()})
            )
    return pd.DataFrame(rows)


def theory_check(results: Results) -> pd.DataFrame:
    """On Spheres, ε50%(PGD L2) / α_Δx against ½‖Δx‖ = 0.15 (Theorem 2); empty without Spheres."""
    frame = results.frame()
    spheres = frame[frame.data.str.startswith("Spheres") & (frame.group != "sweep")]
    rows = []
    for (data, recipe), part in _in_order(spheres):
        mean = part.groupby("measurement").value.mean()
        if {"epsilon50_pgd_l2", "alpha_dx"} <= set(mean.index):
            ratio = mean["epsilon50_pgd_l2"] / mean["alpha_dx"]
            off = f"{100 * (ratio / HALF_DISTANCE - 1):+.1f} %"
            cells = (data, recipe, f"{ratio:.4f}", f"{HALF_DISTANCE}", off)
            rows.append(dict(zip(("data", "recipe", "ε50% L2 / α_Δx", "½‖Δx‖", "off by"), cells, strict=True)))
    return pd.DataFrame(rows)


def correlation_table(results: Results) -> pd.DataFrame:
    """Correlation of α_Δx and α_x with ε50% over the models of a sweep; empty without one."""
    found = correlations(results.frame())
    if found.empty:
        return found
    found["cell"] = [
        "–" if math.isnan(row.value) else f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]"
        for row in found.itertuples()
    ]
    found = found.sort_values(["robustness", "metric"], key=lambda column: column.map(rank), kind="stable")
    keys = ["data", "robustness", "metric", "models", "left_out"]
    wide = found.pivot_table(index=keys, columns="statistic", values="cell", aggfunc="first", sort=False)
    wide = wide.reset_index()
    wide["paper's Pearson"] = [
        str(_published()["table4"].get(row.data, {}).get(row.metric, "–")) if row.robustness.endswith("linf") else "–"
        for row in wide.itertuples()
    ]
    wide["robustness"], wide["metric"] = wide.robustness.map(_title), wide.metric.map(_title)
    return wide.rename(columns={"left_out": "left out"}).rename_axis(columns=None)


def cost_table(results: Results) -> pd.DataFrame:
    """Forward and backward passes per sample and seconds, per measurement, over all models."""
    frame = results.frame()
    sums = frame.groupby("measurement")[["samples", "forward_passes", "backward_passes", "seconds"]].sum()
    sums = sums.loc[sorted(sums.index, key=rank)]
    return pd.DataFrame(
        {
            "measurement": [_title(name) for name in sums.index],
            "forward passes per sample": (sums.forward_passes / sums.samples).map("{:.1f}".format).to_numpy(),
            "backward passes per sample": (sums.backward_passes / sums.samples).map("{:.1f}".format).to_numpy(),
            "seconds, all models": sums.seconds.map("{:.1f}".format).to_numpy(),
        }
    )


def invalid_notes(records: list[Record]) -> list[str]:
    """A sentence for every record that left samples out; silence would hide them."""
    return [
        f"{r.model.data} {r.model.recipe} seed {r.model.seed}: {_title(r.measurement)} left out {r.invalid} of "
        f"{r.samples} samples."
        for r in records
        if r.invalid
    ]


def _measured(part: pd.DataFrame, ceilings: dict[str, Any]) -> dict[str, str]:
    cells = {}
    for name, values in part.groupby("measurement", sort=False).value:
        if math.isinf(values.mean()):
            cells[str(name)] = f"> {ceilings[str(name)]:.4g}"
        else:
            cells[str(name)] = _spread(values.mean(), values.std() if len(values) > 1 else None, str(name))
    return cells


def _row(data: str, recipe: str, seeds: str, cells: dict[str, str]) -> dict[str, str]:
    known = {TITLES[name]: cells.get(name, "–") for name in TITLES}
    others = {name: text for name, text in cells.items() if name not in TITLES}
    return {"data": data, "recipe": recipe, "seeds": seeds} | known | others


def _spread(mean: float, deviation: float | None, measurement: str) -> str:
    """A mean and its deviation with as many digits as mean something."""
    if measurement == "accuracy":
        mean, deviation, digits = 100 * mean, None if deviation is None else 100 * deviation, 1
    else:
        digits = 3 if measurement.startswith("alpha") or not mean else max(0, 2 - math.floor(math.log10(mean)))
    text = f"{mean:.{digits}f}"
    return text if deviation is None else f"{text} ± {deviation:.{digits}f}"


def _in_order(frame: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """Groups by data set and recipe, recipes in the papers' order B, Lα, P before any others."""
    order = {"B": 0, "Lα": 1, "P": 2}
    groups = [((str(data), str(recipe)), part) for (data, recipe), part in frame.groupby(["data", "recipe"])]
    return sorted(groups, key=lambda group: (group[0][0].lower(), order.get(group[0][1], 3), group[0][1]))


def rank(measurement: Any) -> int:
    """Place of a measurement among the columns; unknown ones come last."""
    return list(TITLES).index(measurement) if measurement in TITLES else len(TITLES)


def _title(measurement: Any) -> str:
    return TITLES.get(str(measurement), str(measurement))


@cache
def _published() -> dict[str, Any]:
    return yaml.safe_load((resources.files("eval.report") / "published.yaml").read_text())

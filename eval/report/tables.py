"""The tables of a report, as text ready to print."""

import math
from dataclasses import asdict, fields
from functools import cache
from importlib import resources
from typing import Any

import pandas as pd
import torch
import yaml

from eval.attacks import ATTACKS
from eval.records.quality import SIMILARITY, TARGET_SHARE
from eval.records.results import Model, Record, Results
from eval.report.titles import NORMS, WORST, rank, title
from eval.robustness.radii import median
from eval.studies.correlation import correlations

ESTIMATORS = "estimators"
NOT_BESIDE = ("sweep", ESTIMATORS)
"""Groups of models that have a table of their own."""
BLACK_BOXES = ("square", "spsa")
AHEAD = 2.0
"""Percentage points by which a black box must be ahead of gradient attacks to be spoken of."""
HALF_DISTANCE = 0.15
"""½‖Δx‖ on Spheres: what ε50%/α is for a model that is linear along Δx (paper 1, after Theorem 2)."""


def side_by_side(results: Results) -> pd.DataFrame:
    """One row per data set and recipe, mean ± deviation over seeds, with the paper's row below where it exists."""
    records = [r for r in results.records() if r.model.group not in NOT_BESIDE and r.measurement != "masking"]
    frame = pd.concat([_values(records), worst_case(results)], ignore_index=True)
    ceilings = {r.measurement: r.settings.get("epsilon_max") for r in records}
    columns = sorted(frame.measurement.unique(), key=rank)
    rows = []
    for (data, recipe), part in _in_order(frame):
        rows.append(_row(data, recipe, str(part.seed.nunique()), _measured(part, ceilings), columns))
        published = _published()["models"].get(data, {}).get(recipe)
        if published is not None:
            spreads = {
                name: _spread(pair[0], pair[1] if pair[1:] else None, name) for name, pair in published.items()
            }
            rows.append(_row("", "  paper", "5" if published["accuracy"][1:] else "–", spreads, columns))
    return pd.DataFrame(rows)


def quality_table(results: Results) -> pd.DataFrame:
    """One row per data set and residual estimator, with the paper's below where it exists; empty without any."""
    frame = _values([r for r in results.records() if r.model.group == ESTIMATORS])
    columns = sorted(frame.measurement.unique(), key=rank)
    rows = []
    for (data, estimator), part in frame.groupby(["data", "recipe"], sort=False):
        rows.append({"data": data, "estimator": estimator} | _cells(_measured(part, {}), columns))
        published = _published()["estimators"].get(data, {}).get(estimator)
        if published is not None:
            mean, deviation = published
            cells = {SIMILARITY: _spread(mean, deviation, SIMILARITY)}
            rows.append({"data": "", "estimator": "  paper's figure"} | _cells(cells, columns))
    return pd.DataFrame(rows)


def worst_case(results: Results) -> pd.DataFrame:
    """ε50% when every sample meets the attack that is strongest on it, norm by norm; empty below two attacks."""
    rows = [
        asdict(model)
        | {
            "measurement": f"epsilon50_{WORST}_{norm}",
            "value": median(torch.tensor(pd.concat(list(found.values()), axis=1).min(axis=1).to_numpy())),
        }
        for (model, norm), found in _radii_by_norm(results).items()
        if len(found) > 1
    ]
    return pd.DataFrame(rows, columns=[*(f.name for f in fields(Model)), "measurement", "value"])


def masking_table(results: Results) -> pd.DataFrame:
    """One row per model: how many signs of gradient masking it shows, and which; empty where nobody looked."""
    found = [r for r in results.records() if r.measurement == "masking"]
    ahead = black_box_ahead(results)
    rows = [
        {
            "data": r.model.data,
            "recipe": r.model.recipe,
            "seed": r.model.seed,
            "signs of masking": f"{r.value:.0f} of {len(r.settings['signs'])}" if r.settings["signs"] else "–",
            "verdict": " ".join([r.settings["summary"], *ahead.get(r.model, [])]),
        }
        for r in sorted(found, key=lambda r: (r.model.data.lower(), *_recipe_order(r.model.recipe), r.model.seed))
    ]
    return pd.DataFrame(rows)


def black_box_ahead(results: Results) -> dict[Model, list[str]]:
    """A sentence where a black box, as recorded, fools more than every gradient attack recorded beside it.

    It is looked at where the gradient attacks together fool half of the samples. Unlike the signs of masking, whose
    gradient attacks are made for the purpose, it may just say that those of the record took too few or short steps.
    """
    sentences: dict[Model, list[str]] = {}
    radii = _radii_by_norm(results)
    for (model, norm), found in radii.items():
        white = [radius for attack, radius in found.items() if attack not in (*BLACK_BOXES, "autoattack")]
        if not white:
            continue
        together = pd.concat(white, axis=1).min(axis=1)
        epsilon = median(torch.tensor(together.to_numpy()))
        for attack in BLACK_BOXES:
            if attack in found and math.isfinite(epsilon):
                points = 100 * float((together > epsilon).mean() - (found[attack] > epsilon).mean())
                if round(points, 6) > AHEAD:
                    sentences.setdefault(model, []).append(
                        f"But at {NORMS[norm]} ε = {epsilon:.3g}, {ATTACKS[attack].title} fools {points:.1f} points "
                        "more than the gradient attacks recorded beside it: trust the worst of all, not theirs."
                    )
    return sentences


def _radii_by_norm(results: Results) -> dict[tuple[Model, str], dict[str, pd.Series]]:
    """The radii of every attack whose strength is a distance, by model and norm."""
    radii: dict[tuple[Model, str], dict[str, pd.Series]] = {}
    for record in results.records():
        if record.measurement.startswith("epsilon50") and record.model.group != "sweep":
            attack, _, norm = record.measurement.removeprefix("epsilon50_").rpartition("_")
            radius = results.per_sample(record).set_index("index").radius
            radii.setdefault((record.model, norm), {})[attack] = radius
    return radii


def _values(records: list[Record]) -> pd.DataFrame:
    """The number of every record, and its accuracies at chosen strengths."""
    rows = []
    for record in records:
        found = {record.measurement: record.value}
        for epsilon, share in record.settings.get("accuracy_at", {}).items():
            found[f"accuracy_{record.measurement.partition('_')[2]}_{epsilon}"] = share
        rows += [asdict(record.model) | {"measurement": name, "value": value} for name, value in found.items()]
    return pd.DataFrame(rows, columns=[*(f.name for f in fields(Model)), "measurement", "value"])


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
    published = _published()["correlation"]
    wide["paper's Pearson"] = [
        str(published.get(row.data, {}).get(row.metric, "–")) if row.robustness == "epsilon50_pgd_linf" else "–"
        for row in wide.itertuples()
    ]
    wide["robustness"], wide["metric"] = wide.robustness.map(title), wide.metric.map(title)
    return wide.rename(columns={"left_out": "left out"}).rename_axis(columns=None)


def cost_table(results: Results) -> pd.DataFrame:
    """Forward and backward passes per sample and seconds, per measurement, over all models."""
    frame = results.frame()
    frame = frame[frame.forward_passes > 0]
    sums = frame.groupby("measurement")[["samples", "forward_passes", "backward_passes", "seconds"]].sum()
    sums = sums.loc[sorted(sums.index, key=rank)]
    return pd.DataFrame(
        {
            "measurement": [title(name) for name in sums.index],
            "forward passes per sample": (sums.forward_passes / sums.samples).map("{:.1f}".format).to_numpy(),
            "backward passes per sample": (sums.backward_passes / sums.samples).map("{:.1f}".format).to_numpy(),
            "seconds, all models": sums.seconds.map("{:.1f}".format).to_numpy(),
        }
    )


def invalid_notes(records: list[Record]) -> list[str]:
    """A sentence for every record that left samples out; silence would hide them."""
    return [
        f"{r.model.data} {r.model.recipe} seed {r.model.seed}: {title(r.measurement)} left out {r.invalid} of "
        f"{r.samples} samples."
        for r in records
        if r.invalid
    ]


def _measured(part: pd.DataFrame, ceilings: dict[str, Any]) -> dict[str, str]:
    cells = {}
    for name, values in part.groupby("measurement", sort=False).value:
        mean, ceiling = values.mean(), ceilings.get(str(name))
        if math.isinf(mean) and ceiling and not str(name).startswith("tau50"):
            cells[str(name)] = f"> {ceiling:.4g}"
        elif not mean and ceiling and str(name).startswith("tau50"):
            cells[str(name)] = f"< {1 / ceiling:.2g}"
        else:
            cells[str(name)] = _spread(mean, values.std() if len(values) > 1 else None, str(name))
    return cells


def _row(data: str, recipe: str, seeds: str, cells: dict[str, str], columns: list[str]) -> dict[str, str]:
    return {"data": data, "recipe": recipe, "seeds": seeds} | _cells(cells, columns)


def _cells(cells: dict[str, str], columns: list[str]) -> dict[str, str]:
    return {title(name): cells.get(name, "–") for name in columns}


def _spread(mean: float, deviation: float | None, measurement: str) -> str:
    """A mean and its deviation with as many digits as mean something."""
    if not math.isfinite(mean):
        return "–" if math.isnan(mean) else "∞"
    if measurement.startswith("accuracy") or measurement in ("gop_frequency", TARGET_SHARE):
        mean, deviation, digits = 100 * mean, None if deviation is None else 100 * deviation, 1
    else:
        signed = measurement.startswith("alpha") or measurement in ("cosine", SIMILARITY)
        digits = 3 if signed or not mean else max(0, 2 - math.floor(math.log10(abs(mean))))
    text = f"{mean:.{digits}f}"
    return text if deviation is None else f"{text} ± {deviation:.{digits}f}"


def _in_order(frame: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """Groups by data set and recipe."""
    groups = [((str(data), str(recipe)), part) for (data, recipe), part in frame.groupby(["data", "recipe"])]
    return sorted(groups, key=lambda group: (group[0][0].lower(), *_recipe_order(group[0][1])))


def _recipe_order(recipe: str) -> tuple[int, str]:
    """The papers' order B, Lα, P before any others."""
    return {"B": 0, "Lα": 1, "P": 2}.get(recipe, 3), recipe


@cache
def _published() -> dict[str, Any]:
    return yaml.safe_load((resources.files("eval.report") / "published.yaml").read_text())

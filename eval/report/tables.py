"""The tables of a report, as text ready to print, from loaded records."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from eval.records import Quantity, Record, Records
from eval.records.quantity import KINDS
from eval.report import notes
from eval.report.cells import cell, spread
from eval.report.published import beside, correlation_beside, estimator_beside
from eval.report.rows import Row, at_strengths, column_titles, rows
from eval.report.worst import black_box_ahead, worst_of_all
from eval.studies.correlation import correlations

ESTIMATORS = "estimators"
NOT_BESIDE = ("sweep", ESTIMATORS)
"""Groups of models that have a table of their own."""
HALF_DISTANCE = 0.15
"""½‖Δx‖ on Spheres: what ε50%/α is for a model that is linear along Δx (paper 1, after Theorem 2)."""
NO_TABLE = ("masking",)
"""Kinds that stand in a table of their own."""


@dataclass(frozen=True)
class Table:
    """A table and what a reader must be told beside it."""

    frame: pd.DataFrame
    notes: Sequence[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join([self.frame.to_string(index=False), *(f"  {note}" for note in self.notes)])


def all_tables(records: Records) -> dict[str, Table]:
    """Every table that the records allow, by its heading."""
    candidates = {
        "Side by side": side_by_side(records),
        "Quality of residual estimators": quality_table(records),
        "Signs of gradient masking": masking_table(records),
        "Correlation of alignment with robustness": correlation_table(records),
        "Theory check on Spheres": theory_check(records),
        "Cost of the measurements": cost_table(records),
    }
    return {heading: table for heading, table in candidates.items() if not table.frame.empty}


def compared(records: Records) -> list[Record]:
    """Records of the models that stand side by side."""
    return [r for r in records if any(group not in NOT_BESIDE for group in r.model.groups)]


def side_by_side(records: Records) -> Table:
    """One row per recipe and samples: mean ± deviation over several models, or value and interval over samples.

    The paper's row stands below where there is one, and says what it has that ours has not.
    """
    chosen = [r for r in compared(records) if r.quantity.kind not in NO_TABLE]
    shown = [*chosen, *worst_of_all(records, chosen), *(r for record in chosen for r in at_strengths(record))]
    found = rows(shown)
    lines = []
    for row, line in zip(found, _lines(found, shown), strict=True):
        lines.append({"data": row.data, "recipe": row.recipe, "models": str(row.models)} | line)
        if published := beside(row):
            runs = "–" if published.runs is None else str(published.runs)
            first = {"data": "", "recipe": f"  {published.label}", "models": runs}
            lines.append(first | _published_cells(published.numbers, shown))
    told = [*notes.facts(found), *notes.settings(chosen), *_of_intervals(found), *notes.doubts(found)]
    return Table(pd.DataFrame(lines), told)


def quality_table(records: Records) -> Table:
    """One row per data set and residual estimator, with the paper's figure below where it exists."""
    chosen = [r for r in records if ESTIMATORS in r.model.groups]
    found = rows(chosen)
    lines = []
    for row, line in zip(found, _lines(found, chosen), strict=True):
        lines.append({"data": row.data, "estimator": row.recipe} | line)
        if published := estimator_beside(row):
            first = {"data": "", "estimator": f"  {published.label}"}
            lines.append(first | _published_cells(published.numbers, chosen))
    return Table(pd.DataFrame(lines), [*notes.facts(found), *_of_intervals(found), *notes.doubts(found)])


def masking_table(records: Records) -> Table:
    """One row per model: how many signs of gradient masking it shows, and which; empty where nobody looked."""
    chosen = compared(records)
    ahead = black_box_ahead(records, chosen)
    lines = []
    for row in rows(r for r in chosen if r.quantity.kind == "masking"):
        for record in sorted(row.records, key=lambda record: record.model.seed):
            signs = record.details["signs"]
            lines.append(
                {
                    "data": row.data,
                    "recipe": row.recipe,
                    "seed": record.model.seed,
                    "signs of masking": f"{record.value:.0f} of {len(signs)}" if signs else "–",
                    "verdict": " ".join([record.details["summary"], *ahead.get(record.subject.key, [])]),
                }
            )
    return Table(pd.DataFrame(lines))


def theory_check(records: Records) -> Table:
    """On Spheres, ε50%(PGD L2) / α_Δx against ½‖Δx‖ = 0.15 (Theorem 2); empty without Spheres."""
    lines = []
    for row in rows(r for r in compared(records) if r.subject.samples.data.startswith("Spheres")):
        radius = [r.value for r in row.records if (r.quantity.attack, r.quantity.norm) == ("pgd", "L2")]
        alpha = [r.value for r in row.records if r.quantity.kind == "alpha_dx"]
        if radius and alpha:
            ratio = (sum(radius) / len(radius)) / (sum(alpha) / len(alpha))
            cells = (
                row.data,
                row.recipe,
                f"{ratio:.4f}",
                f"{HALF_DISTANCE}",
                f"{100 * (ratio / HALF_DISTANCE - 1):+.1f} %",
            )
            lines.append(dict(zip(("data", "recipe", "ε50% L2 / α_Δx", "½‖Δx‖", "off by"), cells, strict=True)))
    return Table(pd.DataFrame(lines))


def sweep(records: Records) -> tuple[pd.DataFrame, dict[str, Quantity]]:
    """Numbers of the models of a sweep, one row each, and the quantity behind each title under "measurement"."""
    chosen = [r for r in records if "sweep" in r.model.groups and r.quantity.kind in KINDS]
    named = column_titles(chosen)
    lines = [
        {
            "data": record.subject.samples.data,
            "recipe": record.model.recipe,
            "epsilon": record.model.epsilon,
            "seed": record.model.seed,
            "measurement": named[record.quantity],
            "value": record.value,
        }
        for record in chosen
    ]
    columns = ["data", "recipe", "epsilon", "seed", "measurement", "value"]
    return pd.DataFrame(lines, columns=columns), {title: quantity for quantity, title in named.items()}


def correlation_table(records: Records) -> Table:
    """Correlation of α_Δx and α_x with ε50% over the models of a sweep; empty without one."""
    frame, quantities = sweep(records)
    metrics = [t for t, q in quantities.items() if q.kind in ("alpha_dx", "alpha_x")]
    robustness = [t for t, q in quantities.items() if q.kind == "epsilon50"]
    by_rank = {t: i for i, t in enumerate(sorted(quantities, key=lambda t: quantities[t].rank))}
    found = correlations(frame, metrics, robustness)
    if found.empty:
        return Table(found)
    found["cell"] = [
        "–" if math.isnan(line.value) else f"{line.value:.3f} [{line.low:.3f}, {line.high:.3f}]"
        for line in found.itertuples()
    ]
    found = found.sort_values(["robustness", "metric"], key=lambda column: column.map(by_rank), kind="stable")
    keys = ["data", "robustness", "metric", "models", "settings", "left_out"]
    wide = found.pivot_table(index=keys, columns="statistic", values="cell", aggfunc="first", sort=False)
    wide = wide.reset_index()
    pgd = [quantities[line.robustness] for line in wide.itertuples()]
    wide["paper's Pearson"] = [
        correlation_beside(line.data, quantities[line.metric].kind) if (q.attack, q.norm) == ("pgd", "Linf") else "–"
        for line, q in zip(wide.itertuples(), pgd, strict=True)
    ]
    told = ["In brackets: 95 % intervals from resampling settings of ε, with all their seeds; not single models."]
    return Table(wide.rename(columns={"left_out": "left out"}).rename_axis(columns=None), told)


def cost_table(records: Records) -> Table:
    """Forward and backward passes per sample and seconds, per measurement, over all models."""
    chosen = [r for r in records if r.forward_passes > 0]
    named = column_titles(chosen)
    lines = []
    for title in sorted(set(named.values()), key=lambda t: min(q.rank for q, name in named.items() if name == t)):
        group = [r for r in chosen if named[r.quantity] == title]
        samples = sum(r.samples for r in group)
        lines.append(
            {
                "measurement": title,
                "forward passes per sample": f"{sum(r.forward_passes for r in group) / samples:.1f}",
                "backward passes per sample": f"{sum(r.backward_passes for r in group) / samples:.1f}",
                "seconds, all models": f"{sum(r.seconds for r in group):.1f}",
            }
        )
    return Table(pd.DataFrame(lines))


def _lines(found: Sequence[Row], shown: Sequence[Record]) -> list[dict[str, str]]:
    """The cells of each row, by the titles of the columns."""
    named = column_titles(shown)
    columns = sorted(named, key=lambda quantity: quantity.rank)
    ordered = dict.fromkeys(named[quantity] for quantity in columns)
    lines = []
    for row in found:
        groups: dict[str, list[Record]] = {}
        for record in row.records:
            groups.setdefault(named[record.quantity], []).append(record)
        lines.append({title: cell(groups[title]) if title in groups else "–" for title in ordered})
    return lines


def _published_cells(numbers: Mapping[str, tuple[float, ...]], shown: Sequence[Record]) -> dict[str, str]:
    """A paper's numbers below the columns that they belong to; a name that several columns share fills none."""
    named = column_titles(shown)
    by_name: dict[str, dict[str, Quantity]] = {}
    for quantity, title in named.items():
        by_name.setdefault(quantity.name, {})[title] = quantity
    cells = dict.fromkeys(dict.fromkeys(named[q] for q in sorted(named, key=lambda q: q.rank)), "–")
    for name, titled in by_name.items():
        if name in numbers and len(titled) == 1:
            ((title, quantity),) = titled.items()
            mean, *over = numbers[name]
            cells[title] = spread(quantity, mean, over[0] if over else None)
    return cells


def _of_intervals(found: Sequence[Row]) -> list[str]:
    told = []
    if any(row.models == 1 for row in found):
        told.append("In brackets, where there is one model: 95 % interval over its samples.")
    if any(row.models > 1 for row in found):
        told.append("±: standard deviation over models of one recipe, trained with other seeds.")
    return told

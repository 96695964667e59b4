"""The tables of a report, as text ready to print, from loaded records."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import pandas as pd

from eval.figures import FIGURE_KINDS
from eval.records import Quantity, Record, Records
from eval.records.quantity import differences
from eval.records.subject import CHOSEN_BY, POOLED, SWEEP
from eval.report import notes
from eval.report.choice import choice_table
from eval.report.consensus_notes import of_consensus
from eval.report.correlating import correlation_table
from eval.report.front_table import front_table
from eval.report.of_figures import figure_tables
from eval.report.optimality_table import optimality_table
from eval.report.published import beside, estimator_beside
from eval.report.residual_doubts import residual_doubts
from eval.report.sweeps import sweep_table
from eval.report.worst import black_box_ahead, worst_of_all
from eval.tables.cells import spread
from eval.tables.exact import BEHIND, OVER, exact_lines, factor_of
from eval.tables.lines import cell_lines
from eval.tables.rows import at_strengths, column_titles, rows
from eval.tables.table import Table

ESTIMATORS = "estimators"
NOT_BESIDE = (SWEEP, POOLED, CHOSEN_BY, ESTIMATORS)
"""Groups of models that have a table of their own."""
HALF_DISTANCE = 0.15
"""½‖Δx‖ on Spheres: what ε50%/α is for a model that is linear along Δx (paper 1, after Theorem 2)."""
RATIO = "ε50% L2 / α_Δx"
NO_TABLE = ("masking", *FIGURE_KINDS)
"""Kinds that stand in a table of their own."""


def all_tables(records: Records) -> dict[str, Table]:
    """Every table that the records allow, by its heading."""
    candidates = {
        "Side by side": side_by_side(records),
        "Sweeps": sweep_table(records),
        "Fronts": front_table(records),
        "Choice of a setting": choice_table(records),
        "Attacks beside the best of all": optimality_table(records, compared(records)),
        "Quality of residual estimators": quality_table(records),
        "Signs of gradient masking": masking_table(records),
        "Correlation of alignment with robustness": correlation_table(records),
        "Theory check on Spheres": theory_check(records),
        "Cost of the measurements": cost_table(records),
        **figure_tables(records),
    }
    return {heading: table for heading, table in candidates.items() if not table.frame.empty}


def compared(records: Records) -> list[Record]:
    """Records of the models that stand side by side."""
    return [r for r in records if _is_compared(r)]


def is_beside(record: Record) -> bool:
    """Whether a number has a column in the side-by-side table."""
    return _is_compared(record) and record.quantity.kind not in NO_TABLE


def _is_compared(record: Record) -> bool:
    return any(group not in NOT_BESIDE for group in record.model.groups)


def beside_table(records: Records) -> list[Record]:
    """Records of these models that have a column in the side-by-side table."""
    return [r for r in records if is_beside(r)]


def shown_beside(records: Records) -> list[Record]:
    """What stands in the side-by-side table: these records, and what follows from them."""
    chosen = beside_table(records)
    return [*chosen, *worst_of_all(records, chosen), *(r for record in chosen for r in at_strengths(record))]


def side_by_side(records: Records) -> Table:
    """One row per recipe and samples: mean ± deviation over several models, or value and interval over samples.

    The paper's row stands below where there is one, and says what it has that ours has not.
    """
    chosen, shown = beside_table(records), shown_beside(records)
    found = rows(shown)
    lines, exact = [], []
    for row, line, numbers in zip(found, cell_lines(found, shown), exact_lines(found, shown), strict=True):
        lines.append({"data": row.data, "recipe": row.recipe, "models": str(row.models)} | line)
        exact.append({"data": row.data, "recipe": row.recipe, "models": row.models} | numbers)
        if published := beside(row):
            runs = "–" if published.runs is None else str(published.runs)
            first = {"data": "", "recipe": f"  {published.label}", "models": runs}
            lines.append(first | _published_cells(published.numbers, shown))
            whose: dict[str, Any] = {
                "data": row.data,
                "recipe": f"{row.recipe}, {published.label}",
                "models": published.runs,
            }
            exact.append(whose | _published_numbers(published.numbers, shown))
    told = [*notes.facts(found), *notes.settings(chosen), *notes.of_intervals(found), *of_consensus(found)]
    doubts = notes.doubts(found)
    return Table(pd.DataFrame(lines), [*told, *doubts], doubts, _exact(exact))


def quality_table(records: Records) -> Table:
    """One row per data set and residual estimator, with the paper's figure below where it exists."""
    chosen = [r for r in records if ESTIMATORS in r.model.groups and r.quantity.kind not in FIGURE_KINDS]
    found = rows(chosen)
    lines, exact = [], []
    for row, line, numbers in zip(found, cell_lines(found, chosen), exact_lines(found, chosen), strict=True):
        lines.append({"data": row.data, "estimator": row.recipe} | line)
        exact.append({"data": row.data, "estimator": row.recipe} | numbers)
        if published := estimator_beside(row):
            first = {"data": "", "estimator": f"  {published.label}"}
            lines.append(first | _published_cells(published.numbers, chosen))
            whose = {"data": row.data, "estimator": f"{row.recipe}, {published.label}"}
            exact.append(whose | _published_numbers(published.numbers, chosen))
    doubts = [*notes.doubts(found), *residual_doubts(found)]
    told = [*notes.facts(found), *notes.of_intervals(found), *doubts]
    return Table(pd.DataFrame(lines), told, doubts, _exact(exact))


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
    lines, exact = [], []
    for row in rows(r for r in compared(records) if r.subject.samples.data.startswith("Spheres")):
        radii = _by_quantity(r for r in row.records if _is_radius(r.quantity, "L2"))
        alphas = _by_quantity(r for r in row.records if r.quantity.kind == "alpha_dx")
        for radius, alpha in product(radii, alphas):
            told = ", ".join([*_told(radius, radii), *_told(alpha, alphas)])
            recipe = f"{row.recipe} ({told})" if told else row.recipe
            ratio = _ratio(radii[radius], alphas[alpha])
            lines.append({"data": row.data, "recipe": recipe} | _ratio_told(ratio))
            exact.append({"data": row.data, "recipe": recipe, RATIO: ratio, "½‖Δx‖": HALF_DISTANCE})
    return Table(pd.DataFrame(lines), exact=_exact(exact))


def _by_quantity(records: Iterable[Record]) -> dict[Quantity, list[float]]:
    """Values by what they are numbers of."""
    found: dict[Quantity, list[float]] = {}
    for record in records:
        found.setdefault(record.quantity, []).append(record.value)
    return found


def _told(quantity: Quantity, rivals: Iterable[Quantity]) -> list[str]:
    """What tells a quantity from others, if there are any."""
    told = differences(quantity.settings, [rival.settings for rival in rivals])
    return [told] if told else []


def _ratio(radii: Sequence[float], alphas: Sequence[float]) -> float:
    radius, alpha = sum(radii) / len(radii), sum(alphas) / len(alphas)
    return radius / alpha if alpha else math.nan


def _ratio_told(ratio: float) -> dict[str, str]:
    known = math.isfinite(ratio)
    off = f"{100 * (ratio / HALF_DISTANCE - 1):+.1f} %" if known else "–"
    return {RATIO: f"{ratio:.4f}" if known else "–", "½‖Δx‖": f"{HALF_DISTANCE}", "off by": off}


def _is_radius(quantity: Quantity, norm: str) -> bool:
    return (quantity.kind, quantity.attack, quantity.norm) == ("epsilon50", "pgd", norm)


def cost_table(records: Records) -> Table:
    """Forward and backward passes per sample and seconds, per measurement, over all models."""
    chosen = [r for r in records if r.forward_passes > 0 and r.samples > 0]  # a figure may find no sample that fits
    named = column_titles(chosen)
    exact = []
    for title in sorted(set(named.values()), key=lambda t: min(q.rank for q, name in named.items() if name == t)):
        group = [r for r in chosen if named[r.quantity] == title]
        samples = sum(r.samples for r in group)
        exact.append(
            {
                "measurement": title,
                "forward passes per sample": sum(r.forward_passes for r in group) / samples,
                "backward passes per sample": sum(r.backward_passes for r in group) / samples,
                "seconds, all models": sum(r.seconds for r in group),
            }
        )
    lines = [{name: one if isinstance(one, str) else f"{one:.1f}" for name, one in line.items()} for line in exact]
    return Table(pd.DataFrame(lines), exact=_exact(exact))


def _published_cells(numbers: Mapping[str, tuple[float, ...]], shown: Sequence[Record]) -> dict[str, str]:
    """A paper's numbers below the columns that they belong to; a name that several columns share fills none."""
    named = column_titles(shown)
    cells = dict.fromkeys(dict.fromkeys(named[q] for q in sorted(named, key=lambda q: q.rank)), "–")
    for title, (quantity, (mean, *over)) in _placed(numbers, shown).items():
        cells[title] = spread(quantity, mean, over[0] if over else None)
    return cells


def _published_numbers(numbers: Mapping[str, tuple[float, ...]], shown: Sequence[Record]) -> dict[str, float]:
    """A paper's numbers, unrounded, in the columns of `exact_lines`."""
    found: dict[str, float] = {}
    for title, (quantity, pair) in _placed(numbers, shown).items():
        found |= {name: factor_of(quantity) * part for name, part in zip((title, title + OVER), pair, strict=False)}
    return found


def _placed(
    numbers: Mapping[str, tuple[float, ...]], shown: Sequence[Record]
) -> dict[str, tuple[Quantity, tuple[float, ...]]]:
    """A paper's numbers by the titles of the columns that they belong to."""
    by_name: dict[str, dict[str, Quantity]] = {}
    for quantity, title in column_titles(shown).items():
        by_name.setdefault(quantity.name, {})[title] = quantity
    titled = {name: [*titles.items()] for name, titles in by_name.items() if name in numbers and len(titles) == 1}
    return {title: (quantity, numbers[name]) for name, ((title, quantity),) in titled.items()}


def _exact(lines: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Numbers in columns, those of one title together."""
    frame = pd.DataFrame(lines)
    firsts = [name for name in frame if not str(name).endswith(BEHIND)]
    return frame[[name for first in firsts for name in (first, *(f"{first}{e}" for e in BEHIND)) if name in frame]]

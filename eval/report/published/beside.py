"""The papers' rows, beside ours only where they are of the same thing; else they say what differs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eval.report.published.conditions import all_differing, contradicted, known_as
from eval.report.published.content import PaperModel, model_of, models, parsed, tables
from eval.tables.cells import number as written
from eval.tables.rows import Row


@dataclass(frozen=True)
class Published:
    """A row of a paper.

    Attributes:
        label: "paper", or "paper, but …" with what the paper had where ours is something else.
        runs: how many the means are over; None where it does not say.
        numbers: mean and deviation, or a value alone, by `Quantity.name`; of a figure, by the title of its column.
        same: whether it is of the same data set, bounds, network, training ε, settings and recipe.
        place: of a figure, what stands in other columns of the rows that it belongs to.
    """

    label: str
    runs: int | None
    numbers: Mapping[str, tuple[float, ...]]
    same: bool
    place: Mapping[str, str] = field(default_factory=dict)


def papers_of(row: Row) -> list[PaperModel]:
    """The papers' models of a data set and recipe of ours, that which differs least first."""
    found = [m for m in models() if _plain(m.data) == _plain(row.samples.data) and _is_of(m, row)]
    return sorted(found, key=lambda model: len(all_differing(model.conditions, [row])))


def beside(row: Row) -> Published | None:
    """The paper's row for a data set and recipe of ours, or None if there is none."""
    found = papers_of(row)
    if not found:
        return None
    model = found[0]
    differing = all_differing(model.conditions, [row])
    numbers = {of.name: number.pair for of, number in model.numbers.items()}
    # An accuracy under attack is the same number whether it was read off a search or measured alone.
    numbers |= {f"robust_{of.name}": n.pair for of, n in model.numbers.items() if of.kind == "accuracy" and of.attack}
    label = _with("paper", differing)
    return Published(label, model.conditions.get("runs"), numbers, not differing)


def estimator_beside(row: Row) -> Published | None:
    """The paper's figure for a residual estimator, or None if there is none."""
    for _, table in tables("estimators"):
        for line in table["rows"]:
            if (line["data"], line["recipe"]) == (row.samples.data, row.records[0].model.recipe):
                numbers = {"residual_similarity": _pair(line["cells"])}
                label = _with("paper's figure", line.get("but", ()))
                return Published(label, 5, numbers, not line.get("but"))
    return None


def correlation_beside(rows: Sequence[Row], kind: str) -> str:
    """The paper's Pearson correlation with ε50% PGD L∞, as text, and what its models had that ours have not.

    Args:
        rows: the models of the sweep, which the paper trained adversarially.
        kind: of the alignment metric.
    """
    for where, table in tables("correlations"):
        line = table["rows"].get(rows[0].samples.data)
        if line is not None and kind in table["columns"]:
            cell = line["cells"].split()[table["columns"].index(kind)]
            like = model_of(where.partition(",")[0], line["like"])
            conditions = {name: value for name, value in like.conditions.items() if name != "ε"}
            return _with(str(float(cell)), all_differing(conditions, rows))
    return "–"


def figure_beside(figure: str, row: Row) -> Published | None:
    """What a paper's table has of a figure of `eval.figures`, for a data set and recipe of ours; None if nothing."""
    for where, table in tables("figure"):
        for model in papers_of(row) if table["figure"] == figure else ():
            cells = table.get("rows", {}).get(model.name)
            if cells is not None and where.startswith(model.paper):
                differing = all_differing(model.conditions, [row])
                numbers = dict(zip(table["columns"], map(_pair, str(cells).split()), strict=True))
                label, runs = _with("paper", differing), model.conditions.get("runs")
                return Published(label, runs, numbers, not differing, table.get("beside", {}))
    return None


def samples_beside(figure: str, data: str) -> list[str]:
    """What a paper's table has of single samples of a data set, as sentences."""
    told = []
    for where, table in tables("figure"):
        for name, sample in table.get("samples", {}).items():
            if (table["figure"], sample["data"]) == (figure, data):
                pairs = zip(table["columns"], sample["cells"].split(), strict=True)
                numbers = ", ".join(f"{title} {float(cell):g}" for title, cell in pairs)
                told.append(f"{where}, a sample of class {name}: {numbers}.")
    return told


def hours_beside(data: str) -> str:
    """How long the paper's trainings of a data set took, as a sentence; empty where it does not say."""
    for where, table in tables("settings"):
        if data in table["columns"]:
            place = table["columns"].index(data)
            hours = {key: cells.split()[place] for key, cells in table["rows"].items() if key.startswith("hours")}
            told = ", ".join(f"{key.removeprefix('hours, ')} {cell}" for key, cell in hours.items() if cell != "-")
            return f"{data} took the paper, in hours on one of its GPUs: {told} ({where})."
    return ""


def _is_of(model: PaperModel, row: Row) -> bool:
    """Whether ours is called like the paper's, or known to be the same; and not known to be another."""
    named = _plain(row.records[0].model.recipe) in map(_plain, model.recipes)
    return (named or known_as(model.conditions, row)) and not contradicted(model.conditions, row)


def doubtful(model: PaperModel, row: Row) -> list[str]:
    """Why figures of a model may not be what they are taken for, of attacks that ours met; each reason once."""
    met = {record.quantity.attack for record in row.records}
    reasons: dict[tuple[str, str], list[str]] = {}
    for of, number in model.numbers.items():
        if number.doubtful and of.attack in met:
            told = f"{of.title} {written(of, number.value)}"
            reasons.setdefault((number.table, number.doubtful), []).append(told)
    return [f"{table}, {', '.join(told)}: {why}." for (table, why), told in reasons.items()]


def _plain(name: str) -> str:
    """A name without spaces, marks and case.

    Example:
        >>> _plain("Tiny ImageNet"), _plain("CA-AT (γ = 0.8)")
        ('tinyimagenet', 'caatγ08')
    """
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _pair(cell: str) -> tuple[float, ...]:
    found: Any = parsed(cell)
    return tuple(part for part in found if part is not None)


def _with(label: str, differing: Sequence[str]) -> str:
    return label + (f", but {' and '.join(differing)}" if differing else "")

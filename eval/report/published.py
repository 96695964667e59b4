"""The papers' rows, beside ours only where they are of the same thing; else they say what differs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import resources
from typing import Any

import yaml

from eval.records import Record
from eval.tables.rows import Row, interval


@dataclass(frozen=True)
class Published:
    """A row of a paper.

    Attributes:
        label: "paper", or "paper, but …" with what the paper had where ours is something else.
        runs: how many the means are over; None where it does not say.
        numbers: mean and deviation, or a value alone, by `Quantity.name`.
        same: whether it is of the same data set, bounds, network, training ε and recipe.
    """

    label: str
    runs: int | None
    numbers: Mapping[str, tuple[float, ...]]
    same: bool


def beside(row: Row) -> Published | None:
    """The paper's row for a data set and recipe of ours, or None if there is none."""
    samples = row.samples
    content = _content()["models"].get(samples.data, {}).get(row.records[0].model.recipe)
    if content is None:
        return None
    numbers = {name: tuple(map(float, pair)) for name, pair in content["numbers"].items()}
    conditions = _content()["conditions"][content["conditions"]] | content.get("only", {})
    differing = _all_differing(conditions, [row])
    return Published(_with("paper", differing), conditions.get("runs"), numbers, not differing)


def estimator_beside(row: Row) -> Published | None:
    """The paper's figure for a residual estimator, or None if there is none."""
    content = _content()["estimators"].get(row.samples.data, {}).get(row.records[0].model.recipe)
    if content is None:
        return None
    differing = [str(told) for told in content.get("but", ())]
    label = _with("paper's figure", differing)
    return Published(label, 5, {"residual_similarity": tuple(content["similarity"])}, not differing)


def correlation_beside(rows: Sequence[Row], kind: str) -> str:
    """The paper's Pearson correlation with ε50% PGD L∞, as text, and what its models had that ours have not.

    Args:
        rows: the models of the sweep, which the paper trained adversarially.
        kind: of the alignment metric.
    """
    data = rows[0].samples.data
    figure = _content()["correlation"].get(data, {}).get(kind)
    if figure is None:
        return "–"
    conditions = _content()["conditions"][_content()["models"][data]["P"]["conditions"]]
    return _with(str(figure), _all_differing(conditions | {"λ_α": 0, "objective": "AT"}, rows))


def _all_differing(conditions: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    """What the paper had where some of our rows have something else, each said once."""
    told = [_differing(name, value, row) for name, value in conditions.items() for row in rows]
    return [*dict.fromkeys(words for words in told if words)]


def _with(label: str, differing: Sequence[str]) -> str:
    return label + (f", but {' and '.join(differing)}" if differing else "")


def _differing(name: str, theirs: Any, row: Row) -> str | None:
    """What the paper had, where ours is not the same; None where it is, or where a name is no condition."""
    if name == "runs":
        return None
    if name == "bounds":
        low, high = map(float, theirs)
        return None if row.samples.bounds == (low, high) else interval((low, high))
    ours = {_recorded(name, record) for record in row.records}
    told = {"network": f"{theirs}", "ε": f"ε = {theirs}", "epochs": f"{theirs} epochs", "objective": f"{theirs}"}
    words = told.get(name, f"{name} {theirs}")
    if ours == {None}:
        return f"{words} (ours is not known)"
    return None if all(_equal(value, theirs) for value in ours) else words


def _recorded(name: str, record: Record) -> Any:
    """A fact of a model's training, or None where it is not known."""
    network, training = record.subject.network, record.subject.training
    model: Mapping[str, Any] = training.get("model", {})
    if name == "network":
        return network.get("network")
    if not model:
        return None
    objective = model.get("objective") or {}
    facts = {
        "ε": (objective.get("init_args") or {}).get("epsilon", 0),
        "objective": str(objective.get("class_path", "Plain")).rpartition(".")[2],
        "combiner": str((model.get("combiner") or {}).get("class_path", "none")).rpartition(".")[2],
        "λ_α": model.get("alignment_weight", 0),
        "epochs": training.get("trainer", {}).get("max_epochs"),
    }
    return facts.get(name)


def _equal(ours: Any, theirs: Any) -> bool:
    try:
        return abs(float(Fraction(str(ours))) - float(Fraction(str(theirs)))) < 1e-9
    except ValueError:
        return str(ours) == str(theirs)


@cache
def _content() -> dict[str, Any]:
    return yaml.safe_load((resources.files("eval.report") / "published.yaml").read_text(encoding="utf-8"))

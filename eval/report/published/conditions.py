"""What a model of a paper had where ours has something else."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from inspect import signature
from typing import Any

import training
from eval.records import Record
from eval.tables.rows import Row, interval

SETTINGS = ("γ", "λ", "gop", "gics", "loss", "solver")
"""Conditions without which a model is another one, whatever it is called; of combined gradients their loss, too."""
IDENTITY = ("objective", "combiner", "start", *SETTINGS)
"""Conditions by which a model is known that is called otherwise."""
SAID = {
    "network": "{}",
    "objective": "{}",
    "epochs": "{} epochs",
    "ε": "ε = {}",
    "γ": "γ = {}",
    "λ": "λ = {}",
    "C": "C = {}",
    "start": "combined from epoch {} on",
    "loss": "{} inside",
    "solver": "{} inside",
    "lr": "learning rate {}",
}
"""How a condition is said; others by their names."""
SWITCHES = {"gop": "GOP", "gics": "GICS"}
Configuration = Mapping[str, Any]


def all_differing(conditions: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    """What the paper had where some of our rows have something else, each said once."""
    told = [_differing(name, value, row) for name, value in conditions.items() for row in rows]
    return [*dict.fromkeys(words for words in told if words)]


def contradicted(conditions: Mapping[str, Any], row: Row) -> bool:
    """Whether ours is known to have other settings, such as another γ, so that it is another model."""
    telling = SETTINGS if conditions.get("combiner", "none") == "none" else (*SETTINGS, "objective")
    return any(_known_and(name, value, row, same=False) for name, value in conditions.items() if name in telling)


def known_as(conditions: Mapping[str, Any], row: Row) -> bool:
    """Whether ours is known to be of the same loss, combined in the same way, and so is the same but in name."""
    if conditions.get("combiner", "none") == "none":
        return False
    return all(_known_and(name, value, row, same=True) for name, value in conditions.items() if name in IDENTITY)


def _known_and(name: str, theirs: Any, row: Row, *, same: bool) -> bool:
    ours = {str(_recorded(name, record)): _recorded(name, record) for record in row.records}
    return "None" not in ours and all(_equal(value, theirs) == same for value in ours.values())


def _differing(name: str, theirs: Any, row: Row) -> str | None:
    """What the paper had, where ours is not the same; None where it is, or where a name is no condition."""
    if name == "runs":
        return None
    if name == "bounds":
        low, high = map(float, theirs)
        return None if row.samples.bounds == (low, high) else interval((low, high))
    ours = [_recorded(name, record) for record in row.records]
    if all(value is None for value in ours):
        return f"{_said(name, theirs)} (ours is not known)"
    return None if all(_equal(value, theirs) for value in ours) else _said(name, theirs)


def _said(name: str, theirs: Any) -> str:
    if name in SWITCHES:
        return f"{'with' if theirs else 'without'} {SWITCHES[name]}"
    return SAID.get(name, f"{name} {{}}").format(theirs[0] if isinstance(theirs, list) else theirs)


def _recorded(name: str, record: Record) -> Any:
    """A fact of a model's training, or None where it is not known."""
    if name == "network":
        return record.subject.network.get("network")
    trained = record.subject.training
    model: Configuration = trained.get("model", {})
    if not model:
        return None
    objective, combiner = model.get("objective") or {}, model.get("combiner") or {}
    facts: dict[str, Callable[[], Any]] = {
        "ε": lambda: (objective.get("init_args") or {}).get("epsilon", 0),
        "objective": lambda: _class(objective, "Plain"),
        "loss": lambda: _argument(objective, "loss", "none"),
        "solver": lambda: _argument(objective, "solver", "pgd"),
        "combiner": lambda: _class(combiner, "none"),
        "γ": lambda: _argument(combiner, "gamma", "none"),
        "C": lambda: _argument(combiner, "clip_norm", "none"),
        "gop": lambda: _argument(combiner, "gop", False),
        "gics": lambda: _argument(combiner, "gics", False),
        "λ": lambda: _adversarial_share(combiner),
        "start": lambda: model.get("combiner_start", 0) if combiner else "none",
        "λ_α": lambda: model.get("alignment_weight", 0),
        "lr": lambda: _learning_rate(model),
        "batch size": lambda: (trained.get("data", {}).get("init_args") or {}).get("batch_size"),
        "epochs": lambda: trained.get("trainer", {}).get("max_epochs"),
    }
    return facts[name]() if name in facts else None


def _class(described: Configuration, otherwise: str) -> str:
    return str(described.get("class_path", otherwise)).rpartition(".")[2]


def _argument(described: Configuration, name: str, otherwise: Any) -> Any:
    """An argument of what is described, by default its class's own."""
    given = described.get("init_args") or {}
    if name in given:
        return "none" if given[name] is None else given[name]
    known = getattr(training, _class(described, ""), None)
    parameter = signature(known).parameters.get(name) if known else None
    return otherwise if parameter is None or parameter.default is parameter.empty else parameter.default


def _learning_rate(model: Configuration) -> Any:
    """The highest one: of a cycle its peak, else the first."""
    arguments: Configuration = (model.get("scheduler") or {}).get("init_args") or {}
    return arguments.get("max_lr", ((model.get("optimizer") or {}).get("init_args") or {}).get("lr"))


def _adversarial_share(combiner: Configuration) -> Any:
    """λ of (1 − λ) g_n + λ g_a, whatever the weights sum to."""
    weights = (combiner.get("init_args") or {}).get("weights")
    if not isinstance(weights, Mapping) or not sum(weights.values()):
        return "none"
    return weights.get("adversarial", 0) / sum(weights.values())


def _equal(ours: Any, theirs: Any) -> bool:
    """Whether a value is the paper's, or one of several names of that."""
    if isinstance(theirs, list):
        return any(_equal(ours, value) for value in theirs)
    try:
        return abs(float(Fraction(str(ours))) - float(Fraction(str(theirs)))) < 1e-9
    except ValueError:
        return str(ours) == str(theirs)

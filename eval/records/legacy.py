"""Records of schema 1, which did not know what they were numbers of: what they do not say is marked as unknown."""

from collections.abc import Mapping
from typing import Any

from eval.records.quantity import Quantity
from eval.records.subject import UNKNOWN, Model, Samples, Subject

NORMS = {"linf": "Linf", "l2": "L2", "l1": "L1"}
DETAILS = ("epsilon_max", "accuracy_at", "epsilon", "signs", "summary")
"""What lay among the settings and was found, not set."""


def from_schema_1(content: Mapping[str, Any], home: str) -> dict[str, Any]:
    """The fields of a record of today.

    Args:
        content: of the file.
        home: name of its folder, which stands in for the digest of the weights.
    """
    named, settings = dict(content["model"]), dict(content["settings"])
    group = named.pop("group", "measure")
    details = {key: settings.pop(key) for key in DETAILS if key in settings}
    split, limit = settings.pop("split", UNKNOWN), settings.pop("limit", None)
    samples = Samples(named["data"], {"limit": limit}, None, split, content["samples"], UNKNOWN)
    return {
        "model": Model(**named, groups=(group,)),
        "quantity": quantity(content["measurement"], settings),
        "subject": Subject(samples, {}, f"{UNKNOWN}: {home}", content.get("training", {})),
        "value": float(content["value"]),
        "details": details,
        "schema": 1,
    } | {
        key: content[key]
        for key in ("samples", "invalid", "forward_passes", "backward_passes", "seconds", "provenance")
        if key in content
    }


def quantity(measurement: str, settings: Mapping[str, Any]) -> Quantity:
    """What the name of a measurement of schema 1 meant.

    Example:
        >>> found = quantity("epsilon50_cw_linf_linf", {"attack": "cw_linf", "options": {"steps": 40}})
        >>> found.kind, found.attack, found.norm, found.settings
        ('epsilon50', 'cw_linf', 'Linf', {'steps': 40})
    """
    options = settings.get("options") or {}
    settings = {key: value for key, value in settings.items() if key not in ("attack", "norm", "options")} | options
    kind, _, rest = measurement.partition("_")
    if kind == "epsilon50":
        attack, _, norm = rest.rpartition("_")
        return Quantity(kind, attack, NORMS[norm], settings)
    if kind == "tau50":
        return Quantity(kind, rest, "", settings)
    return Quantity(measurement, settings=settings)

"""A record: one number, what it is a number of, how sure it is, and what it took."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from eval.records.identity import digest, plain
from eval.records.intervals import UNSURE, Interval
from eval.records.legacy import from_schema_1
from eval.records.quantity import Quantity
from eval.records.subject import Model, Samples, Subject

SCHEMA = 2


@dataclass(frozen=True, eq=False)
class Record:
    """One number, and what is needed to repeat it.

    Attributes:
        model: how what was measured is called.
        quantity: what was measured.
        subject: on what.
        value: the number; infinite where it lies above everything tried.
        samples: how many the number rests on.
        invalid: how many were left out because they have no direction, or rejected outputs of an attack.
        interval: 95 % interval of the value over samples; NaN where there is none.
        details: what else a reader of the number must know; no part of its identity.
        forward_passes: in samples.
        backward_passes: in samples.
        seconds: wall-clock time.
        provenance: library versions, code revision, machine.
        outcomes: digest of the table of outcomes per sample that lies beside it.
        arrays: digest of what a picture is drawn from, which lies beside it; empty where there is none.
        schema: version of this layout.
    """

    model: Model
    quantity: Quantity
    subject: Subject
    value: float
    samples: int
    invalid: int = 0
    interval: Interval = UNSURE
    details: Mapping[str, Any] = field(default_factory=dict)
    forward_passes: int = 0
    backward_passes: int = 0
    seconds: float = 0.0
    provenance: Mapping[str, Any] = field(default_factory=dict)
    outcomes: str = ""
    arrays: str = ""
    schema: int = SCHEMA

    @cached_property
    def key(self) -> str:
        """The identity of the number: the digest of quantity and subject."""
        return key_of(self.quantity, self.subject)


def key_of(quantity: Quantity, subject: Subject) -> str:
    """The key that a record of this quantity on this subject has."""
    return digest([quantity.key, subject.key])


def written(record: Record) -> str:
    """The record as JSON, with its key and a digest of everything in it."""
    content = {"key": record.key} | plain(asdict(record))
    return json.dumps(content | {"content": digest(content)}, indent=1, ensure_ascii=False) + "\n"


def read(text: str, home: str) -> Record:
    """The record that JSON holds.

    Args:
        text: as `written` makes it, or as schema 1 was.
        home: name of the folder it lies in, by which models of schema 1 are told apart.

    Raises:
        ValueError: if the text is damaged, of a later schema, or does not belong to its key; without a file's name.
    """
    try:
        content = json.loads(text)
        schema = content["schema"]
    except (json.JSONDecodeError, TypeError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"is damaged or no record ({type(error).__name__})") from error
    if not isinstance(schema, int) or schema > SCHEMA:
        raise ValueError(f"has schema {schema!r}, where this version of alphadx reads up to {SCHEMA}")
    try:
        fields = from_schema_1(content, home) if schema == 1 else _fields(content)
        _check_types(fields)
        record = Record(**fields)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ValueError(f"is damaged or no record ({error})") from error
    if schema == SCHEMA:
        _check_whole(content, record)
    return record


def _check_whole(content: Mapping[str, Any], record: Record) -> None:
    """Refuse a record in which anything was changed; the earliest of schema 2 have a key alone."""
    rest = {key: value for key, value in content.items() if key != "content"}
    if content.get("key") != record.key or content.get("content", digest(rest)) != digest(rest):
        raise ValueError("does not belong to its own key: it was edited, or mixed with another")


def _check_types(fields: Mapping[str, Any]) -> None:
    """Refuse what has the fields of a record, but not their types."""
    model, quantity, subject = fields["model"], fields["quantity"], fields["subject"]
    counts = [fields.get(name, 0) for name in ("samples", "invalid", "forward_passes", "backward_passes")]
    mappings = [fields.get(name, {}) for name in ("details", "provenance")]
    mappings += [subject.training, subject.network, subject.samples.arguments, quantity.settings, model.setting]
    texts = [model.data, model.recipe, model.epsilon, quantity.kind, subject.samples.data, *model.setting.values()]
    for values, kind in ((counts, int), (mappings, Mapping), (texts, str), ([fields.get("seconds", 0)], int | float)):
        for value in values:
            if not isinstance(value, kind):
                raise ValueError(f"found {value!r} where another type belongs")


def _fields(content: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in content.items() if key not in ("key", "content")}
    model, subject = dict(rest["model"]), dict(rest["subject"])
    samples = dict(subject["samples"])
    if samples["bounds"] is not None:
        low, high = map(float, samples["bounds"])
        samples["bounds"] = (low, high)
    low, high = map(float, rest["interval"])
    return rest | {
        "model": Model(**model | {"groups": tuple(model["groups"]), "sweeps": _tuples(model.get("sweeps", []))}),
        "quantity": Quantity(**rest["quantity"]),
        "subject": Subject(**subject | {"samples": Samples(**samples)}),
        "value": float(rest["value"]),
        "interval": (low, high),
    }


def _tuples(lists: list[list[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(map(tuple, lists))

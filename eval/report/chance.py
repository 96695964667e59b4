"""Models whose accuracy is that of guessing: they are alike in whatever else is measured of them."""

from collections.abc import Iterable

from eval.records import Record

CHANCE = 0.05
"""How far above 1/C an accuracy must be not to be near chance."""


def near_chance(record: Record) -> bool:
    """Whether an accuracy is hardly above that of guessing; False where the record does not say the classes."""
    return "classes" in record.details and record.value <= 1 / record.details["classes"] + CHANCE


def at_chance(records: Iterable[Record]) -> set[str]:
    """The keys of the subjects, each a model on samples, whose accuracy without attack is near chance."""
    return {
        r.subject.key for r in records if r.quantity.kind == "accuracy" and not r.quantity.attack and near_chance(r)
    }

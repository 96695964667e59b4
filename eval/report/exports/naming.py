"""What a model is called in an export: a name that no other one has, and that a file can carry."""

from collections import Counter
from collections.abc import Iterable

from eval.figures import of_models
from eval.records import Record
from eval.records.identity import slug
from eval.records.subject import CHOSEN_BY
from eval.report.tables import ESTIMATORS
from eval.tables.rows import rows

SHOWN = 8
"""Characters of a digest in a name."""


def classifiers(records: Iterable[Record]) -> list[Record]:
    """The records of classifiers themselves: of no estimator, no figure, and nothing that a setting was chosen by."""
    return [record for record in of_models([*records]) if not {ESTIMATORS, CHOSEN_BY} & {*record.model.groups}]


def by_model(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Records by the name of the very model; a number that lies in two folders counts once.

    Models of one name say their seeds, and if that does not do, a part of their digests.
    """
    found: dict[str, dict[str, Record]] = {}
    recipes: dict[str, str] = {}
    for row in rows(records):
        for record in row.records:
            recipes.setdefault(record.subject.model_key, row.recipe)
            found.setdefault(record.subject.model_key, {})[record.key] = record
    firsts = {key: next(iter(kept.values())).model for key, kept in found.items()}
    names = {key: slug(recipes[key]) for key in found}
    names = _apart(names, {key: f"seed{model.seed}" for key, model in firsts.items()})
    names = _apart(names, {key: key[:SHOWN] for key in found})
    return {names[key]: [*kept.values()] for key, kept in found.items()}


def _apart(names: dict[str, str], endings: dict[str, str]) -> dict[str, str]:
    """Names that several share get an ending."""
    counts = Counter(name.lower() for name in names.values())  # some file systems do not tell case apart
    return {key: f"{name}-{endings[key]}" if counts[name.lower()] > 1 else name for key, name in names.items()}

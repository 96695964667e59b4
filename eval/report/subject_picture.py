"""The picture of the subject for a page's first screen: a few samples with Δx, x + Δx and ∇ℓ of each model."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from eval.figures.gradient_pictures import Shown, picture
from eval.figures.gradients import KIND
from eval.records import Records
from eval.records.identity import slug
from eval.report.tables import compared
from eval.tables.rows import PAPERS_ORDER, Row, recipe_order, rows

SAMPLES = 6
"""Samples in the picture, at most."""
MODELS = 4
"""Models in the picture, at most."""
SUBJECT = "subject"
"""What the names of its files begin with."""


def subject_figures(records: Records) -> dict[str, Figure]:
    """One picture, by name, of the data set that shows most: images before vectors, then most of B, Lα and P."""
    by_data: dict[str, list[Row]] = {}
    for row in rows(r for r in compared(records) if r.quantity.kind == KIND):
        by_data.setdefault(row.data, []).append(row)
    drawn = {data: _shown(records, members) for data, members in by_data.items()}
    if not drawn:
        return {}
    data = max(drawn, key=lambda name: _worth(drawn[name]))
    return {f"{SUBJECT}-{slug(data)}": picture(data, _cut(drawn[data]))}


def _shown(records: Records, members: Sequence[Row]) -> list[Shown]:
    """The models of the first seed of each recipe, those of one quantity."""
    quantity = members[0].records[0].quantity
    found = []
    for row in sorted(members, key=lambda row: recipe_order(row.recipe)):
        own = sorted((r for r in row.records if r.quantity == quantity), key=lambda record: record.model.seed)
        found += [Shown(row.recipe, records.arrays(r), records.per_sample(r)) for r in own[:1]]
    return found[:MODELS]


def _worth(models: Sequence[Shown]) -> tuple[bool, bool, int, int]:
    arrays = models[0].arrays
    known = sum(model.name in PAPERS_ORDER for model in models)
    return arrays["x"].ndim == 4, "residual" in arrays, known, arrays["x"][0].size


def _cut(models: Sequence[Shown]) -> list[Shown]:
    """The same few samples of each: one of a class, and such for which all models have the same closest class."""
    targets = np.stack([model.outcomes.target.to_numpy() for model in models])
    agreed = np.flatnonzero((targets == targets[0]).all(axis=0)).tolist()
    labels = models[0].outcomes.label.tolist()
    first = dict(zip([labels[place] for place in reversed(agreed)], reversed(agreed), strict=True))
    chosen = [*dict.fromkeys([*sorted(first.values()), *agreed] or range(len(labels)))][:SAMPLES]
    return [model.only(chosen) for model in models]

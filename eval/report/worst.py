"""ε50% where every sample meets the attack that is strongest on it, and black boxes that are ahead of gradients."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from eval.attacks import ATTACKS
from eval.records import Model, Quantity, Record, Records
from eval.records.quantity import NORMS, WORST
from eval.robustness.median import median, median_interval
from eval.tables.once import once

BLACK_BOXES = ("square", "spsa")
AHEAD = 2.0
"""Percentage points by which a black box must be ahead of gradient attacks to be spoken of."""


Searches = Mapping[Quantity, Record]
"""Records of several attacks on one model, by what they are numbers of."""


def radii_by_norm(chosen: Iterable[Record]) -> dict[tuple[str, str], dict[Quantity, Record]]:
    """The record of every attack whose strength is a distance, by the very model and samples, and by norm."""
    found: dict[tuple[str, str], dict[Quantity, Record]] = {}
    for record in chosen:
        if record.quantity.kind == "epsilon50":
            found.setdefault((record.subject.key, record.quantity.norm), {})[record.quantity] = record
    return found


def worst_of_all(records: Records, chosen: list[Record]) -> list[Record]:
    """A record per model, name of it, and norm in which several attacks were measured on the same samples."""
    named: dict[str, dict[Model, Record]] = {}  # one model may stand in several rows, under several names
    for record in chosen:
        named.setdefault(record.subject.key, {}).setdefault(record.model, record)
    known = _known(records)
    found = []
    for (subject, norm), searches in radii_by_norm(chosen).items():
        if len(searches) < 2:
            continue
        key: tuple[str | Record, ...] = (norm, *searches.values(), *named[subject].values())
        if key not in known:
            known[key] = _worst(records, norm, searches, [*named[subject].values()])
        found += known[key]
    return found


@once
def _known(records: Records) -> dict[tuple[str | Record, ...], list[Record]]:
    """What was found of the worst of all, which several tables and pictures ask for; filled as they do."""
    return {}


def _worst(records: Records, norm: str, searches: Searches, named: Sequence[Record]) -> list[Record]:
    """The worst of some attacks on one model, under each of its names."""
    upper = np.fmin.reduce(radii_together(records, searches, "radius"))
    lower = np.fmin(np.fmin.reduce(radii_together(records, searches, "failed_at")), upper)
    value, interval = median(torch.tensor(upper)), median_interval(lower, upper)
    quantity = Quantity("epsilon50", WORST, norm)
    changes: dict[str, Any] = {
        "quantity": quantity,
        "value": value,
        "interval": interval,
        "samples": len(upper),
        "details": {},
    }
    return [replace(record, **changes) for record in named]


def black_box_ahead(records: Records, chosen: list[Record]) -> dict[str, list[str]]:
    """Sentences, by the very model and samples, where a black box fools more than all gradient attacks beside it.

    It is looked at where the gradient attacks together fool half of the samples. Unlike the signs of masking, whose
    gradient attacks are made for the purpose, it may just say that those of the record took too few or short steps.
    """
    sentences: dict[str, list[str]] = {}
    for (subject, _), searches in radii_by_norm(chosen).items():
        white = [quantity for quantity in searches if quantity.attack not in (*BLACK_BOXES, "autoattack")]
        black = [quantity for quantity in searches if quantity.attack in BLACK_BOXES]
        if not white or not black:
            continue
        radii = dict(zip(searches, radii_together(records, searches, "radius"), strict=True))
        strongest = np.fmin.reduce([radii[quantity] for quantity in white])
        epsilon = median(torch.tensor(strongest))
        for quantity in black if math.isfinite(epsilon) else []:
            points = 100 * float((strongest > epsilon).mean() - (radii[quantity] > epsilon).mean())
            if round(points, 6) > AHEAD:
                sentences.setdefault(subject, []).append(_ahead(quantity, epsilon, points))
    return sentences


def _ahead(quantity: Quantity, epsilon: float, points: float) -> str:
    return (
        f"But at {NORMS[quantity.norm]} ε = {epsilon:.3g}, {ATTACKS[quantity.attack].title} fools {points:.1f} "
        "points more than the gradient attacks recorded beside it: trust the worst of all, not theirs."
    )


def radii_together(records: Records, searches: Searches, column: str) -> np.ndarray:
    """One line per attack, one column per sample, in the order of the first attack.

    Raises:
        ValueError: if the attacks were not measured on the same samples.
    """
    outcomes = [records.per_sample(record) for record in searches.values()]
    first = outcomes[0]["index"].to_numpy()
    if any(set(other["index"]) != set(first) for other in outcomes[1:]):
        named = ", ".join(quantity.attack_title for quantity in searches)
        raise ValueError(f"The outcomes of {named} should be of the same samples. Found others. Measure them again.")
    return np.stack([_at(outcome, column, first) for outcome in outcomes])


def _at(outcomes: pd.DataFrame, column: str, index: np.ndarray) -> np.ndarray:
    """A column of outcomes at some samples."""
    if np.array_equal(outcomes["index"], index):
        return outcomes[column].to_numpy(dtype=np.float64)
    return outcomes.set_index("index")[column].loc[index].to_numpy(dtype=np.float64)

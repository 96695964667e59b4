"""ε50% where every sample meets the attack that is strongest on it, and black boxes that are ahead of gradients."""

import math
from collections.abc import Iterable
from dataclasses import replace

import pandas as pd
import torch

from eval.attacks import ATTACKS
from eval.records import Model, Quantity, Record, Records
from eval.records.quantity import NORMS, WORST
from eval.robustness.median import median, median_interval

BLACK_BOXES = ("square", "spsa")
AHEAD = 2.0
"""Percentage points by which a black box must be ahead of gradient attacks to be spoken of."""


def radii_by_norm(records: Records, chosen: Iterable[Record]) -> dict[tuple[str, str], dict[Quantity, pd.DataFrame]]:
    """Outcomes of every attack whose strength is a distance, by the very model and samples, and by norm."""
    found: dict[tuple[str, str], dict[Quantity, pd.DataFrame]] = {}
    for record in chosen:
        if record.quantity.kind == "epsilon50":
            outcomes = records.per_sample(record).set_index("index")[["radius", "failed_at"]]
            found.setdefault((record.subject.key, record.quantity.norm), {})[record.quantity] = outcomes
    return found


def worst_of_all(records: Records, chosen: list[Record]) -> list[Record]:
    """A record per model, name of it, and norm in which several attacks were measured on the same samples."""
    named: dict[str, dict[Model, Record]] = {}  # one model may stand in several rows, under several names
    for record in chosen:
        named.setdefault(record.subject.key, {}).setdefault(record.model, record)
    found = []
    for (subject, norm), outcomes in radii_by_norm(records, chosen).items():
        if len(outcomes) < 2:
            continue
        upper = _together(outcomes, "radius").min(axis=1)
        lower = _together(outcomes, "failed_at").min(axis=1).clip(upper=upper)
        found += [
            replace(
                record,
                quantity=Quantity("epsilon50", WORST, norm),
                value=median(torch.tensor(upper.to_numpy())),
                interval=median_interval(lower.to_numpy(), upper.to_numpy()),
                samples=len(upper),
                details={},
            )
            for record in named[subject].values()
        ]
    return found


def black_box_ahead(records: Records, chosen: list[Record]) -> dict[str, list[str]]:
    """Sentences, by the very model and samples, where a black box fools more than all gradient attacks beside it.

    It is looked at where the gradient attacks together fool half of the samples. Unlike the signs of masking, whose
    gradient attacks are made for the purpose, it may just say that those of the record took too few or short steps.
    """
    sentences: dict[str, list[str]] = {}
    for (subject, _), outcomes in radii_by_norm(records, chosen).items():
        white = {q: o for q, o in outcomes.items() if q.attack not in (*BLACK_BOXES, "autoattack")}
        if not white:
            continue
        strongest = _together(white, "radius").min(axis=1)
        epsilon = median(torch.tensor(strongest.to_numpy()))
        for quantity, outcome in outcomes.items():
            if quantity.attack in BLACK_BOXES and math.isfinite(epsilon):
                points = 100 * float((strongest > epsilon).mean() - (outcome.radius > epsilon).mean())
                if round(points, 6) > AHEAD:
                    sentences.setdefault(subject, []).append(_ahead(quantity, epsilon, points))
    return sentences


def _ahead(quantity: Quantity, epsilon: float, points: float) -> str:
    return (
        f"But at {NORMS[quantity.norm]} ε = {epsilon:.3g}, {ATTACKS[quantity.attack].title} fools {points:.1f} "
        "points more than the gradient attacks recorded beside it: trust the worst of all, not theirs."
    )


def _together(outcomes: dict[Quantity, pd.DataFrame], column: str) -> pd.DataFrame:
    """One column per attack, by the index of the sample.

    Raises:
        ValueError: if the attacks were not measured on the same samples.
    """
    first, *others = (outcome[column] for outcome in outcomes.values())
    if any(set(other.index) != set(first.index) for other in others):
        named = ", ".join(quantity.attack_title for quantity in outcomes)
        raise ValueError(f"The outcomes of {named} should be of the same samples. Found others. Measure them again.")
    return pd.concat([first, *others], axis=1)

"""The numbers that a claim is about, with the outcomes of samples behind each."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from eval.records import Record, Records
from eval.records.identity import digest
from eval.records.quantity import WORST
from eval.records.subject import CHOSEN_BY, SWEEP
from eval.report.sweeps import place_of
from eval.report.worst import worst_of_all
from eval.tables.rows import at_strengths, samples_key
from training.strength import Strength

CLOSE = 1e-6
"""How near the statistic of the outcomes must come to the number that is recorded."""


@dataclass(frozen=True)
class Shown:
    """A number as it stands in tables.

    Attributes:
        record: with its value and interval.
        source: the record that was written, whose outcomes are those of the number; None where there are none.
    """

    record: Record
    source: Record | None


@dataclass(frozen=True)
class PerSample:
    """What a number is a statistic of.

    Attributes:
        outcomes: by the index of the sample.
        statistic: of the outcomes.
    """

    outcomes: pd.Series
    statistic: Callable[[np.ndarray], float]

    @property
    def is_share(self) -> bool:
        """Whether each sample counts as 0 or 1."""
        return self.statistic is _mean and bool(self.outcomes.isin([0, 1]).all())


def all_shown(records: Records) -> list[Shown]:
    """Every number of the classifiers, those included that follow from a search."""
    chosen = [record for record in records if CHOSEN_BY not in record.model.groups]
    own = [Shown(record, record) for record in chosen]
    derived = [Shown(share, record) for record in chosen for share in at_strengths(record)]
    return [*own, *derived, *(Shown(record, None) for record in worst_of_all(records, chosen))]


def named(shown: Iterable[Shown], measurement: str, recipe: str = "") -> list[Shown]:
    """Numbers by the name of their quantity; an accuracy under attack is one however it was measured."""
    plain = measurement.removeprefix("robust_")
    names = (plain, f"robust_{plain}")
    return [s for s in shown if s.record.quantity.name in names and recipe in ("", s.record.model.recipe)]


def by_data(shown: Iterable[Shown]) -> dict[str, list[Shown]]:
    """Numbers by the experiment and the very samples that they were measured on, said by the experiment's name."""
    found: dict[str, dict[str, list[Shown]]] = {}
    for one in shown:
        samples = digest(samples_key(one.record.subject.samples))
        found.setdefault(one.record.model.data, {}).setdefault(samples, []).append(one)
    return {data: max(parts.values(), key=_meant) for data, parts in found.items()}


def _meant(part: Sequence[Shown]) -> tuple[bool, int]:
    """Test samples before those that something was chosen by, and the larger part where one is looked at closely."""
    record = part[0].record
    return record.subject.samples.split == "test", record.samples


def by_setting(shown: Sequence[Shown], at: Mapping[str, str] | None = None) -> dict[str, list[Shown]]:
    """Numbers by the setting of their sweep, in words and in the order of its values.

    Those that stand beside others count before those of a sweep; what stands in no sweep is called "".

    Args:
        shown: of one recipe.
        at: values of settings, as written; only sweeps over all of them are meant, at these values.
    """
    wanted = at or {}
    beside = [s for s in shown if set(s.record.model.groups) - {SWEEP}]
    members = [(names, s) for s in shown for names in s.record.model.swept]
    if (beside and not wanted) or not members:
        return {"": beside or [*shown]} if shown else {}
    found: dict[str, list[Shown]] = {}
    for names, one in sorted(members, key=lambda member: place_of(member[1].record.model, member[0])):
        model = one.record.model
        if wanted.keys() <= set(names) and all(model.value_of(name) == value for name, value in wanted.items()):
            found.setdefault(model.told(names), []).append(one)
    return found


def by_seed(shown: Iterable[Shown]) -> dict[int, Shown] | None:
    """Numbers by the seed of their training; None where a seed has several, of which nobody says which is meant."""
    found: dict[int, Shown] = {}
    for one in shown:
        if found.setdefault(one.record.model.seed, one).record.key != one.record.key:
            return None
    return found


def per_sample(records: Records, shown: Shown) -> PerSample | None:
    """What a number is a statistic of; None where its outcomes do not say."""
    source, quantity = shown.source, shown.record.quantity
    if source is None or quantity.attack == WORST:
        return None
    frame = records.per_sample(source)
    found = _outcomes(frame, shown.record, source)
    if found is None or not len(found.outcomes):
        return None
    value = found.statistic(found.outcomes.to_numpy())
    same = value == shown.record.value or abs(value - shown.record.value) <= CLOSE * max(1, abs(value))
    return found if same else None


def _tau(strengths: np.ndarray) -> float:
    """τ50%: of the median strength 1/τ, which is not the median of τ where it lies between two samples."""
    median = _median(strengths)
    return 1 / median if median else math.inf


def _outcomes(frame: pd.DataFrame, record: Record, source: Record) -> PerSample | None:
    if "index" not in frame:
        return None
    frame = frame.set_index("index")
    if source.quantity.kind == "epsilon50" and record.quantity.kind == "accuracy":
        return PerSample((frame.radius > float(Strength(record.quantity.epsilon))).astype(float), _mean)
    if source.quantity.kind == "epsilon50":
        return PerSample(frame.radius, _median)
    if source.quantity.kind == "tau50":
        return PerSample(frame.radius, _tau)
    if "robust" in frame:
        return PerSample(frame.robust.astype(float), _mean)
    if "predicted" in frame:
        return PerSample((frame.predicted == frame.label).astype(float), _mean)
    if "cosine" in frame:
        valid: Any = frame.get("valid", pd.Series(True, index=frame.index))
        return PerSample(frame.cosine[valid.astype(bool)], _mean)
    if source.quantity.kind == "residual_norm" and "norm" in frame:
        return PerSample(frame.norm, _lower_median)
    if "judged" in frame:
        return PerSample((frame.judged == frame.target).astype(float), _mean)
    return None


def _mean(values: np.ndarray) -> float:
    return float(values.mean())


def _median(values: np.ndarray) -> float:
    """As `eval.robustness.median`: between the two middle values, which may both be infinite."""
    ranked = np.sort(values)
    below, above = ranked[(len(ranked) - 1) // 2], ranked[len(ranked) // 2]
    return float(below) if below == above else float((below + above) / 2)


def _lower_median(values: np.ndarray) -> float:
    """The lower of the two middle values, as `torch.median`."""
    return float(np.sort(values)[(len(values) - 1) // 2])

"""Records and outcomes as two flat tables in which no infinity stands, for pandas, R and spreadsheets.

A radius above everything tried is no number, and its mean would be none either: its cell is empty, `censored` is
true, and `largest_tried` says above what it lies. A mean over the other cells alone is too small; what takes censored
values, such as a survival curve, finds all it needs.
"""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from eval.records import Record, Records
from eval.records.quantity import RADII
from eval.report.exports.exported import Exported, check_about
from eval.tables.rows import at_strengths
from training.strength import Strength

ENCODING = "utf-8-sig"
"""With the mark by which spreadsheets know UTF-8; pandas skips it."""
NULLABLE = {"i": "Int64", "u": "Int64", "b": "boolean"}
"""Types of columns with room for empty cells, which would make 3.0 of class 3."""


def comma_separated(records: Records, about: Mapping[str, Any]) -> Exported:
    """`models.csv`, see `models_frame`, and `samples.csv`, see `samples_frame`.

    Raises:
        ValueError: if `about` is not empty, or the outcomes of a record are damaged.
    """
    check_about(about, "csv", ())
    frames = {"models.csv": models_frame(records), "samples.csv": samples_frame(records)}
    return Exported({name: frame.to_csv(index=False).encode(ENCODING) for name, frame in frames.items()})


def models_frame(records: Records) -> pd.DataFrame:
    """One row per number, those included that lie in the details of a search: accuracies at chosen ε.

    `value` is empty where there is no number, and `note` says why; `low` and `high` are the ends of its 95 %
    interval, empty where that has no end. `largest_tried` is a strength, which is 1/τ for τ50%.
    """
    shown = [number for record in records for number in (record, *at_strengths(record))]
    return pd.DataFrame([_row(record) for record in shown])


def samples_frame(records: Records) -> pd.DataFrame:
    """One row per number and sample, with whatever the measurement keeps of it.

    Of a figure it is one row per step, epoch or direction; its columns that have a name of ours are `outcome_…`.

    For radii, `radius` is the smallest strength at which the attack succeeds (1/τ under the spatial attack), and
    `failed_at` the largest at which it was seen to fail; a censored radius lies above `largest_tried`.
    """
    return pd.concat([_outcomes(records, record) for record in records], ignore_index=True)


def _named(record: Record) -> dict[str, Any]:
    """What tells a number from others."""
    model, samples = record.model, record.subject.samples
    return {
        "data": samples.data,
        "recipe": model.recipe,
        "training_epsilon": _strength(model.epsilon),
        "setting": model.told(model.setting),
        "seed": model.seed,
        "measurement": record.quantity.name,
        "key": record.key,
    }


def _row(record: Record) -> dict[str, Any]:
    samples, quantity = record.subject.samples, record.quantity
    low, high = samples.bounds or (math.nan, math.nan)
    return (
        _named(record)
        | {"kind": quantity.kind, "attack": quantity.attack, "norm": quantity.norm}
        | {"epsilon": _strength(quantity.epsilon)}
        | _value(record)
        | {"low": _finite(record.interval[0]), "high": _finite(record.interval[1])}
        | {"samples": record.samples, "invalid": record.invalid, "split": samples.split}
        | {"lowest_input": _finite(low), "highest_input": _finite(high)}
        | {"group": ", ".join(record.model.groups), "checkpoint": record.model.checkpoint}
        | {"network": record.subject.network.get("network", ""), "weights": record.subject.weights}
        | {"forward_passes": record.forward_passes, "backward_passes": record.backward_passes}
        | {"seconds": _finite(record.seconds), "schema": record.schema}
    )


def _value(record: Record) -> dict[str, Any]:
    """The number, or that it lies beyond what was tried."""
    kind, tried = record.quantity.kind, _finite(float(record.details.get("epsilon_max", math.nan)))
    value, note = _finite(record.value), ""
    censored = kind == "epsilon50" and record.value == math.inf
    if kind == "tau50" and record.value == 0 and math.isfinite(tried):
        value, censored = math.nan, True
    if censored:
        note = "strength above the largest tried"
    elif kind == "tau50" and record.value == math.inf:
        note = "infinite: half of the samples are misclassified without an attack"
    elif math.isnan(value):
        note = "nothing to measure"
    return {"value": value, "censored": censored, "largest_tried": tried if censored else math.nan, "note": note}


def _outcomes(records: Records, record: Record) -> pd.DataFrame:
    frame = records.per_sample(record).copy()
    if record.quantity.kind in RADII:
        censored = ~frame["radius"].map(math.isfinite)
        frame["censored"] = censored
        frame["largest_tried"] = frame["failed_at"].where(censored)
    named = _named(record)
    # Rows of a figure may be no samples, and may have a seed, a recipe or an ε of their own.
    frame = frame.rename(columns={name: f"outcome_{name}" for name in frame if name in named})
    frame = frame.replace([math.inf, -math.inf], math.nan)
    for place, (name, told) in enumerate(named.items()):
        frame.insert(place, name, told)
    return frame.astype({name: NULLABLE[kind] for name in frame if (kind := frame[name].dtype.kind) in NULLABLE})


def _strength(written: str) -> float:
    """As a number, since a spreadsheet takes 1/17 for a day."""
    return float(Strength(written)) if written else math.nan


def _finite(value: float) -> float:
    """The value, or NaN, which is an empty cell."""
    return value if math.isfinite(value) else math.nan

"""Under what conditions numbers hold: bounds, which are the unit of ε, samples, networks and estimators of Δx."""

import pandas as pd

from eval.figures import FIGURE_KINDS
from eval.records import Records
from eval.records.subject import CHOSEN_BY
from eval.report import notes
from eval.tables.rows import rows

ELSEWHERE = ("masking", *FIGURE_KINDS)
"""Kinds that are measured on a part of the samples, which their tables say."""


def conditions(records: Records) -> dict[str, list[str]]:
    """Sentences by data set, such as "inputs in [0, 1], the unit of ε; test split, n = 540; Δx by exact."."""
    chosen = [r for r in records if r.quantity.kind not in ELSEWHERE and CHOSEN_BY not in r.model.groups]
    found: dict[str, list[str]] = {}
    for row in rows(chosen or records):
        found.setdefault(row.data, []).append(row.data)
    return {data: notes.facts(row for row in rows(chosen or records) if row.data == data) for data in found}


def of_frame(known: dict[str, list[str]], frame: pd.DataFrame) -> list[str]:
    """The conditions of the data sets that a table is about.

    Args:
        known: by data set.
        frame: with a column "data", else there are none.
    """
    named = [data for data in dict.fromkeys(frame["data"].astype(str)) if data] if "data" in frame else []
    about = [key for key in known if any(_is_of(key, data) for data in named)]
    return [sentence for key in about for sentence in known[key]]


def _is_of(key: str, data: str) -> bool:
    """Whether two names of data sets mean one: tables add to it what tells their own lines apart."""
    return key == data or key.startswith(f"{data} ") or data.startswith((f"{key} ", f"{key},"))

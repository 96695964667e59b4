"""One table with a row per sample and a column per measurement."""

from collections.abc import Iterable

import pandas as pd

from eval.records import Record, Records
from eval.records.quantity import RADII


def per_sample(records: Records, chosen: Iterable[Record]) -> pd.DataFrame:
    """What was found for every sample of one model.

    Args:
        records: as they were read.
        chosen: of one model on the same samples.

    Returns:
        `index` in the split, `label` and `predicted`, in the order of the samples; radii (infinite where the attack
        never succeeded), cosines (NaN where there is no direction), and whether a sample is robust (1 or 0), each
        under the name of its measurement.
    """
    columns = [_column(record, records.per_sample(record)) for record in chosen]
    columns = [column for column in columns if column is not None]
    if not columns:
        return pd.DataFrame(columns=["index", "label"])
    table = pd.concat(columns, axis=1)
    labels = pd.concat([records.per_sample(record).set_index("index").label for record in chosen])
    table.insert(0, "label", labels[~labels.index.duplicated()].reindex(table.index).astype(int))
    return table.rename_axis("index").reset_index()


def _column(record: Record, outcomes: pd.DataFrame) -> pd.Series | None:
    """The outcome of one measurement by the index of the sample; None where it has none."""
    kind, found = record.quantity.kind, outcomes.set_index("index")
    if kind == "accuracy":
        return found.predicted
    if kind == "robust_accuracy":
        return found.robust.astype(int).rename(record.quantity.name)
    if kind in RADII:
        return found.radius.rename(record.quantity.name)
    if "cosine" in found:
        return found.cosine.where(found.valid).rename(record.quantity.name)
    return None

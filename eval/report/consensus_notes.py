"""What a reader must be told of α_Δx by a consensus of estimators: what each of them says, and what † means."""

from collections.abc import Iterable, Sequence

from eval.records import Record
from eval.records.consensus_alignment import OVER
from eval.tables.cells import BEYOND_SAMPLES, number
from eval.tables.rows import Row

MEANS = (
    f"{BEYOND_SAMPLES}: 95 % interval over samples and estimators of Δx, up to α_Δx corrected for what errors of "
    "estimators take from it, if these are independent."
)


def of_consensus(rows: Iterable[Row]) -> list[str]:
    """A sentence for each row and consensus, after one that says what its interval is over."""
    told: list[str] = []
    for row in rows:
        by_quantity: dict[str, list[Record]] = {}
        for record in row.records:
            if OVER in record.details:
                by_quantity.setdefault(record.quantity.key, []).append(record)
        told += [_told(row, records) for records in by_quantity.values()]
    return [MEANS, *told] if told else []


def _told(row: Row, records: Sequence[Record]) -> str:
    """The means over the models of a row."""
    quantity = records[0].quantity
    names = [*records[0].details["alpha_by_estimator"]]
    alphas = [_mean([r.details["alpha_by_estimator"][name] for r in records]) for name in names]
    said = ", ".join(f"{number(quantity, alpha)} by {name}" for name, alpha in zip(names, alphas, strict=True))
    whole, agreed = (_mean([r.details[key] for r in records]) for key in ("alpha_corrected", "mutual_cosine"))
    return (
        f"{row.data}, {row.recipe}: {quantity.title} is {said}, and {number(quantity, whole)} corrected; the "
        f"estimators' mutual cosine is {number(quantity, agreed)}."
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

"""Numbers as text: as many digits as mean something, with the spread over models or the interval over samples."""

import math
from collections.abc import Sequence

from eval.records import Quantity, Record
from eval.records.consensus_alignment import OVER
from eval.records.quantity import SHARES

MOST_DIGITS = 6
"""After the point; smaller numbers are written as powers of ten."""
SIGNED = ("alpha_dx", "alpha_x", "score_alignment", "tangent_share", "cosine", "residual_similarity")
"""Kinds that lie in [−1, 1], or in [0, 1], and have three digits after the point."""

BEYOND_SAMPLES = "†"
"""Behind an interval that is over more than samples, as a record says."""


def cell(records: Sequence[Record]) -> str:
    """One quantity of the models of a row: mean ± deviation over several models, else value and interval."""
    values = [record.value for record in records]
    mean, quantity = sum(values) / len(values), records[0].quantity
    ceilings = [float(r.details["epsilon_max"]) for r in records if "epsilon_max" in r.details]
    if math.isinf(mean) and ceilings and quantity.kind == "epsilon50":
        # A radius that was never reached lies above the ceiling, and the mean above what the ceiling makes of it.
        return f"> {sum(min(value, max(ceilings)) for value in values) / len(values):.4g}"
    if math.isfinite(mean) and 0 in values and ceilings and quantity.kind == "tau50":
        # A τ of 0 lies below the smallest that was tried, and the mean below what that makes of it.
        return f"< {sum(max(value, 1 / max(ceilings)) for value in values) / len(values):.4g}"
    if len(values) > 1:
        return spread(quantity, mean, deviation(values))
    told = with_interval(quantity, mean, records[0].interval)
    return told + BEYOND_SAMPLES if OVER in records[0].details and told.endswith("]") else told


def deviation(values: Sequence[float]) -> float:
    """The standard deviation of a sample; NaN where a value is not finite."""
    mean = sum(values) / len(values)
    return (
        math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
        if math.isfinite(mean)
        else math.nan
    )


def spread(quantity: Quantity, mean: float, over: float | None) -> str:
    """A mean and its deviation; the mean alone where there is none."""
    return number(quantity, mean) + (
        "" if over is None or math.isnan(over) else f" ± {number(quantity, over, like=mean)}"
    )


def with_interval(quantity: Quantity, value: float, interval: tuple[float, float]) -> str:
    """A value and its interval; the value alone where there is none."""
    if not math.isfinite(value) or any(map(math.isnan, interval)):
        return number(quantity, value)
    low, high = (number(quantity, end, like=value) for end in interval)
    return f"{number(quantity, value)} [{low}, {high}]"


def number(quantity: Quantity, value: float, like: float | None = None) -> str:
    """A number with three digits that count, or as many digits after the point as `like` has.

    Example:
        >>> number(Quantity("epsilon50", "pgd", "L2"), 3.384), number(Quantity("accuracy"), 0.9937)
        ('3.38', '99.4')
        >>> number(Quantity("theorems"), 0.000000154)
        '1.5e-07'
    """
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞"
    if quantity.kind in SHARES:
        return f"{100 * value:.1f}"
    reference = value if like is None else like
    digits = 3 if quantity.kind in SIGNED or not reference else max(0, 2 - math.floor(math.log10(abs(reference))))
    return f"{value:.{digits}f}" if digits <= MOST_DIGITS else f"{value:.1e}"


def correlation_told(value: float, low: float, high: float) -> str:
    """A correlation with its interval; alone where there is none, as over too few settings.

    Example:
        >>> correlation_told(0.91, 0.8, 0.95), correlation_told(0.91, math.nan, math.nan)
        ('0.910 [0.800, 0.950]', '0.910')
    """
    if math.isnan(value):
        return "–"
    return f"{value:.3f}" if math.isnan(low) else f"{value:.3f} [{low:.3f}, {high:.3f}]"

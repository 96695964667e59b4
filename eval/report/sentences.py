"""Numbers, differences and names as they stand in a sentence."""

import math
from collections.abc import Sequence

from eval.records import Quantity
from eval.records.intervals import Interval
from eval.records.quantity import SHARES
from eval.tables.cells import number

PERCENT = " %"


def titled(quantity: Quantity) -> str:
    """The title without its unit, which stands behind the number.

    Example:
        >>> titled(Quantity("robust_accuracy", "pgd", "Linf", epsilon="0.1"))
        'accuracy under PGD L∞ 0.1'
    """
    return quantity.title.removesuffix(PERCENT)


def digits(quantity: Quantity, value: float, like: float) -> str:
    """A number without its unit, with as many digits as another one that is finite."""
    return number(quantity, value, like=like if math.isfinite(like) else None)


def amount(quantity: Quantity, value: float, like: float) -> str:
    """A number with its unit, and with as many digits as another one that is finite.

    Example:
        >>> amount(Quantity("accuracy"), 0.5, 0.5), amount(Quantity("mu"), 0.0123, 0.5)
        ('50.0 %', '0.012')
    """
    return digits(quantity, value, like) + (PERCENT if quantity.kind in SHARES else "")


def with_ends(quantity: Quantity, value: float, interval: Interval) -> str:
    """A number with its unit and, where there is one, its interval.

    Example:
        >>> with_ends(Quantity("accuracy"), 0.5, (0.4, 0.6)), with_ends(Quantity("mu"), 0.5, (math.nan, math.nan))
        ('50.0 % [40.0, 60.0]', '0.500')
    """
    ends = [digits(quantity, end, value) for end in interval]
    return f"{amount(quantity, value, value)}{_brackets(ends, interval)}"


def difference(quantity: Quantity, value: float, interval: Interval, like: float) -> str:
    """A difference with its sign and, where there is one, its interval.

    Args:
        quantity: of both numbers.
        value: of the first from the second.
        interval: NaN where there is none.
        like: a number with as many digits.

    Example:
        >>> difference(Quantity("accuracy"), 0.02, (-0.01, 0.05), 0.5)
        '+2.0 points [−1.0, +5.0]'
    """
    return change(quantity, value, interval, like, points(quantity))


def change(quantity: Quantity, value: float, interval: Interval, like: float, unit: str = "") -> str:
    """The same with another unit, or with none where a title says it.

    Example:
        >>> change(Quantity("alpha_dx"), 0.02, (-0.01, 0.05), 0.5)
        '+0.020 [−0.010, +0.050]'
    """
    ends = [signed(end, digits(quantity, abs(end), like)) for end in interval]
    return f"{signed(value, digits(quantity, abs(value), like))}{unit}{_brackets(ends, interval)}"


def points(quantity: Quantity) -> str:
    """The unit of a difference."""
    return " points" if quantity.kind in SHARES else ""


def of_areas(value: float, interval: Interval) -> str:
    """A difference of two areas, each a share."""
    ends = [signed(end, f"{abs(end):.3f}") for end in interval]
    return f"{signed(value, f'{abs(value):.3f}')}{_brackets(ends, interval)}"


def signed(value: float, written: str) -> str:
    """What is written of a number's size, with its sign: none for 0."""
    return ("+" if value > 0 else "−" if value < 0 else "") + written


def minus(written: str) -> str:
    """A number with the sign that sentences have."""
    return written.replace("-", "−")


def called(recipe: str) -> str:
    """A recipe's name; in quotation marks where a comma in it could be one of the sentence.

    Example:
        >>> called("P"), called("direct, paper")
        ('P', '“direct, paper”')
    """
    return f"“{recipe}”" if "," in recipe else recipe


def joined(recipes: Sequence[str]) -> str:
    """Several names, and the verb that follows.

    Example:
        >>> joined(["P"]), joined(["P", "B"])
        ('P is', 'P and B are')
    """
    names = [*dict.fromkeys(map(called, recipes))]
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'}"


def _brackets(ends: Sequence[str], interval: Interval) -> str:
    return "" if any(map(math.isnan, interval)) else f" [{minus(', '.join(ends))}]"

"""Numbers of one kind that were measured in several ways: each way has lines and pictures of its own."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from matplotlib.figure import Figure

from eval.figures.panels import literal
from eval.records import Quantity, Record
from eval.records.identity import slug
from eval.records.quantity import differences
from eval.tables import Row, rows

Drawn = Callable[[str, Sequence[Row]], Figure]
"""From the name of a data set and its rows to their picture."""


def rows_by_settings(chosen: Sequence[Record]) -> dict[tuple[str, Quantity], list[Row]]:
    """Models of one recipe together, under the name of what they were measured on and how.

    Numbers with other settings, such as another norm, are no repetitions, and have no axis in common.
    """
    found: dict[tuple[str, Quantity], list[Row]] = {}
    for row in rows(chosen):
        for quantity in sorted({record.quantity for record in row.records}, key=lambda quantity: quantity.key):
            same = [record for record in row.records if record.quantity == quantity]
            found.setdefault((row.data, quantity), []).append(replace(row, records=same))
    return found


def told_apart(chosen: Sequence[Record]) -> dict[Quantity, dict[str, str]]:
    """What stands under "settings" of a table where there are several; nothing where there is one.

    Example:
        >>> told_apart([])
        {}
    """
    on: dict[Quantity, set[str]] = {}
    for record in chosen:
        on.setdefault(record.quantity, set()).add(record.subject.samples.data)
    # What differs between data sets, such as a length in units of their bounds, is no choice of anybody's.
    told = {one: differences(one.settings, [two.settings for two in on if on[one] & on[two]]) for one in on}
    return {one: {"settings": words} if any(told.values()) else {} for one, words in told.items()}


def pictures(chosen: Sequence[Record], drawn: Drawn) -> dict[str, Figure]:
    """A picture for each data set; where it was measured on with several settings, one for each, numbered."""
    found: dict[str, Figure] = {}
    told = told_apart(chosen)
    for (data, quantity), of_settings in rows_by_settings(chosen).items():
        name, number = slug(data), 2
        while name in found:
            name, number = f"{slug(data)}-{number}", number + 1
        found[name] = drawn(data, of_settings)
        if words := told[quantity].get("settings"):
            found[name].supxlabel(literal(words), fontsize=7)
    return found

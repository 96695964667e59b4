"""How near every attack comes to the best of all on one model, where a minimum-norm attack is among them."""

import math
from typing import Any

import pandas as pd

from eval.attacks import ATTACKS
from eval.records import Quantity, Record, Records
from eval.report.worst import radii_by_norm, radii_together
from eval.robustness.optimality import optimality
from eval.tables.cells import number
from eval.tables.rows import column_titles, rows
from eval.tables.table import Table

NOTE = (
    "Optimality (AttackBench): 1 for an attack that is best on every sample, 0 for one that fools none below the "
    "largest radius of the best. A search may end above the best by the width of its brackets."
)


def optimality_table(records: Records, chosen: list[Record]) -> Table:
    """One row per model and attack: ε50%, optimality among the attacks of the norm, and gradients per sample.

    Left out are norms in which fewer than two attacks have all radii, or none of them looks for the nearest example
    itself, and searches for ε50% alone, of which most radii are not known.

    Args:
        records: that hold the outcomes.
        chosen: of the models that are compared.
    """
    shares = _shares(records, chosen)
    titles = column_titles(chosen)
    lines: list[dict[str, Any]] = []
    exact: list[dict[str, Any]] = []
    for row in rows(record for record in chosen if (record.subject.key, record.quantity) in shares):
        for record in sorted(row.records, key=lambda one: (one.model.seed, one.quantity.norm, one.quantity.rank)):
            share, gradients = shares[record.subject.key, record.quantity], record.backward_passes / record.samples
            whose = {
                "data": row.data,
                "recipe": row.recipe,
                "seed": record.model.seed,
                "measurement": titles[record.quantity],
            }
            told = "–" if math.isnan(share) else f"{share:.3f}"
            radius = number(record.quantity, record.value)
            lines.append(whose | {"ε50%": radius, "optimality": told, "gradients per sample": f"{gradients:.0f}"})
            exact.append(whose | {"ε50%": record.value, "optimality": share, "gradients per sample": gradients})
    return Table(pd.DataFrame(lines), [NOTE] if lines else [], exact=pd.DataFrame(exact))


def _shares(records: Records, chosen: list[Record]) -> dict[tuple[str, Quantity], float]:
    """Optimality by the very model and samples, and by what was measured."""
    found: dict[tuple[str, Quantity], float] = {}
    for (subject, _), all_searches in radii_by_norm(chosen).items():
        searches = {quantity: record for quantity, record in all_searches.items() if _has_all_radii(quantity)}
        if len(searches) < 2 or not any(ATTACKS[quantity.attack].minimal for quantity in searches):
            continue
        radii = radii_together(records, searches, "radius")
        named = dict(zip((quantity.key for quantity in searches), radii, strict=True))
        shares = optimality(named)
        found |= {(subject, quantity): shares[quantity.key] for quantity in searches}
    return found


def _has_all_radii(quantity: Quantity) -> bool:
    """Whether every radius is an attack's best, or closed by a search; not known of attacks that are not at hand."""
    entry = ATTACKS.get(quantity.attack)
    if entry is None:
        return False
    return entry.minimal or (entry.mixed_strengths and quantity.settings.get("curve_resolution") is not None)

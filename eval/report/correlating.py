"""Correlation of alignment with robustness over the models of sweeps, and over those that were only measured."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from eval.records import Quantity, Records
from eval.records.quantity import WORST
from eval.report.chance import at_chance
from eval.report.published import correlation_beside
from eval.report.sweeps import Sweep, derived, left_out, numbers, pooled, sweeps, with_derived
from eval.studies.correlation import GIVEN, correlations
from eval.tables.cells import correlation_told
from eval.tables.once import once
from eval.tables.rows import subjects_of
from eval.tables.table import Table

ALIGNMENTS = ("alpha_dx", "alpha_x", "score_alignment", "tangent_share")
ROBUSTNESS = ("epsilon50", "tau50")
OF_PAPER = ("epsilon50", "pgd", "Linf")
"""The measure of robustness of the paper's correlations."""
OF_ALL = ("Pearson", "Spearman")
"""The statistics of every group of models."""
OF_GIVEN = (
    f"{GIVEN}: partial correlation, of what is left of both after a straight line in the ε of adversarial training, "
    "0 without."
)
LEFT_OUT = "Left out are models with a number that is infinite, and those whose accuracy is near chance."


@dataclass(frozen=True)
class Correlated:
    """Groups of models over which something may be correlated.

    Attributes:
        groups: of models.
        frame: their numbers, see `eval.report.sweeps.numbers`; NaN of models near chance.
        quantities: what stands behind each title.
    """

    groups: list[Sweep]
    frame: pd.DataFrame
    quantities: dict[str, Quantity]

    @property
    def of_several_epsilons(self) -> list[int]:
        """Numbers of the groups of models of any recipe that were trained with more than one ε, or some without."""
        ends = self.frame.groupby("data").trained_at.agg(["min", "max"])
        several = {*ends.index[ends["max"] > ends["min"]]}
        return [place for place, group in enumerate(self.groups) if not group.names and place in several]

    def between(self, metrics: "Chooses", robustness: "Chooses", statistics: Sequence[str] = OF_ALL) -> pd.DataFrame:
        """Correlations of the quantities that are chosen, group by group; the one source of tables and findings."""
        titles = (
            [t for t, quantity in self.quantities.items() if chooses(quantity)] for chooses in (metrics, robustness)
        )
        return correlations(self.frame, *titles, statistics=statistics)


Chooses = Callable[[Quantity], bool]
"""Says which quantities are meant."""


@once
def correlated(records: Records) -> Correlated:
    """The models of every sweep, and those that were only measured."""
    groups = [*sweeps(records), *pooled(records)]
    extra = subjects_of(derived(records, groups))
    whole = [replace(group, rows=[with_derived(row, extra) for row in group.rows]) for group in groups]
    return Correlated(groups, *numbers(whole, at_chance(records)))


def is_alignment(quantity: Quantity) -> bool:
    """Whether robustness is correlated with it in tables and pictures."""
    return quantity.kind in ALIGNMENTS


def is_robustness(quantity: Quantity) -> bool:
    """Whether alignment is correlated with it in tables and pictures."""
    return quantity.kind in ROBUSTNESS and quantity.attack != WORST


def correlation_table(records: Records) -> Table:
    """Correlation of α_Δx, α_x and their like with ε50% and τ50%, group by group of models; empty without one."""
    everything = correlated(records)
    groups, quantities = everything.groups, everything.quantities
    given = everything.of_several_epsilons
    found = everything.between(is_alignment, is_robustness, (*OF_ALL, GIVEN) if given else OF_ALL)
    if found.empty:
        return Table(found)
    found.loc[(found.statistic == GIVEN) & ~found["data"].isin(given), ["value", "low", "high"]] = math.nan
    ranks = {title: quantity.rank for title, quantity in quantities.items()}
    by_rank = {title: place for place, title in enumerate(sorted(ranks, key=lambda title: ranks[title]))}
    found["cell"] = [correlation_told(line.value, line.low, line.high) for line in found.itertuples()]
    found = found.sort_values(["robustness", "metric"], key=lambda column: column.map(by_rank), kind="stable")
    keys = ["data", "robustness", "metric", "models", "settings", "left_out"]
    wide = found.pivot_table(index=keys, columns="statistic", values="cell", aggfunc="first", sort=False)
    wide = wide.reset_index()
    wide["paper's Pearson"] = [
        beside(groups[line.data], quantities[line.metric], quantities[line.robustness]) for line in wide.itertuples()
    ]
    wide.insert(1, "of", [groups[place].title for place in wide["data"]])
    wide["data"] = [groups[place].data for place in wide["data"]]
    exact = _exact(found, wide)
    told = _notes(groups, (quantities[title] for title in wide["robustness"]))
    told += left_out(records, len(groups), "groups of models")
    told += [OF_GIVEN] if GIVEN in wide else []
    told += [LEFT_OUT] if wide["left_out"].any() else []
    return Table(wide.rename(columns={"left_out": "left out"}).rename_axis(columns=None), told, exact=exact)


def _exact(found: pd.DataFrame, wide: pd.DataFrame) -> pd.DataFrame:
    """The table with its correlations as they were computed, and their intervals in columns of their own."""
    exact = wide.rename(columns={"left_out": "left out"}).rename_axis(columns=None)
    for statistic in found.statistic.unique():
        own = found[found.statistic == statistic].reset_index(drop=True)
        place = exact.columns.get_loc(statistic)
        exact[statistic] = own.value
        for end in ("high", "low"):
            exact.insert(place + 1, f"{statistic} {end}", own[end])
    return exact


def beside(group: Sweep, metric: Quantity, robustness: Quantity) -> str:
    """The paper's Pearson correlation where it has one, with what its models had that ours have not."""
    of_paper = (robustness.kind, robustness.attack, robustness.norm) == OF_PAPER
    return correlation_beside(group.rows, metric.kind) if of_paper and group.names in ((), ("epsilon",)) else "–"


def _notes(groups: Iterable[Sweep], robustness: Iterable[Quantity]) -> list[str]:
    told = ["In brackets: 95 % intervals from resampling settings, with all their seeds; not single models."]
    if any(quantity.kind == "tau50" for quantity in robustness):
        told.append("A lower τ50% is more robust: there, −1 says that better aligned models withstand more.")
    if any(not group.names for group in groups):
        told.append("Models of any recipe are settings of their own, but for those of one recipe and ε.")
    return told

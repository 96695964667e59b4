"""Robustness under Carlini–Wagner against what the linearised model says: paper 1, Lemma 1 and Figure 8."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from alignment import Candidates, linearised_radii
from alignment.candidates import recorded
from alignment.contracts import check_choice
from eval.figures.kind import FigureKind
from eval.figures.panels import literal, panels_for, titled
from eval.figures.style import CLOUD, COLOURS
from eval.records import Quantity, Record, Records
from eval.records.attack_radii import AttackRadii
from eval.records.identity import slug
from eval.records.intervals import LEVEL, UNSURE, Interval
from eval.records.outcome import Measurement, Outcome, outcomes_of
from eval.records.subject import first_samples
from eval.tables.cells import cell
from eval.tables.rows import Row, rows
from eval.tables.table import Table
from training.data import Batch, DataSet
from training.passes import CountPasses

KIND = "linearity"
TITLES = {"cw": "Carlini–Wagner", "fmn": "FMN", "ddn": "DDN", "deepfool": "DeepFool"}
SEEN = 99
"""Percentile of both radii at which a panel ends."""
FEW = 0.1
"""Share of the samples that an attack may miss before r² says little of all of them."""
MISSED = (
    "The attack missed more than a tenth of the samples, and r² is of the others alone, which lie closer to the "
    "boundary; give it more steps, or use another:"
)
MEANING = (
    "r² is the share of the variance of the radii found that a straight line through the linearised ones explains; "
    "“of the identity” is that of Lemma 1 itself, 1 − Σ(found − linearised)² / Σ(found − mean)², below 0 where the "
    "mean would do better. Samples that are wrong without attack, and those that the attack missed, are left out. "
    "The paper draws these figures and gives no number."
)


@dataclass(frozen=True)
class Linearity:
    """|ρ(x)_c̃| of Lemma 1 beside the L2 distance at which an attack misclassifies x.

    Args:
        attack: "cw", the paper's, or "fmn", "ddn", "deepfool".
        options: what the attack takes.
        limit: only that many samples, the first ones; None for all.
        candidates: see `alignment.linearised_radii`.
        seed: of the attack.

    Raises:
        ValueError: if there is no such attack.
    """

    attack: str = "cw"
    options: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = 200
    candidates: Candidates = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice(self.attack, tuple(TITLES), "attack")

    def quantity(self, data: DataSet) -> Quantity:
        """r² with this attack.

        Raises:
            ValueError: if the attack cannot be used on the data, or does not take the options.
        """
        self._radii.check(data)
        settings = {"attack": self.attack, "limit": self.limit, **self._radii.quantity(data).settings}
        return Quantity(KIND, settings=settings | {"candidates": recorded(self.candidates, data.num_classes)})

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """r² over samples that are right without attack and were fooled; both radii of each sample."""
        few = first_samples(batches, self.limit)
        found = self._radii(classifier, data, few).per_sample
        linearised = [linearised_radii(classifier, b.x, b.y, candidates=self.candidates).amin(dim=1) for b in few]
        frame = outcomes_of(few, linearised=torch.cat(linearised))
        frame["radius"] = found["radius"].to_numpy()
        told = explained(frame)
        return Outcome(told["r2"], frame, r2_interval(frame), details=told)

    @property
    def _radii(self) -> AttackRadii:
        return AttackRadii(self.attack, "L2", self.options, seed=self.seed)


def compared(frame: pd.DataFrame) -> pd.DataFrame:
    """The samples that both radii are known of: right without attack, and fooled by it."""
    return frame[(frame.radius > 0) & np.isfinite(frame.radius)]


def explained(frame: pd.DataFrame) -> dict[str, float]:
    """How much of the radii found the linearised ones explain.

    Args:
        frame: columns `radius`, 0 where wrong without attack and infinite where missed, and `linearised`.

    Returns:
        `r2`, the square of Pearson's correlation; `identity`, the same of the identity, at most 1; `ratio`, the
        median of found over linearised; `n` samples, `wrong` without attack, and `missed`. NaN below three samples,
        or where one of the two does not vary.

    Example:
        >>> explained(pd.DataFrame({"radius": [0.0, 1.0, 2.0, 3.0], "linearised": [9.0, 2.0, 4.0, 6.0]}))["r2"]
        1.0
    """
    known = compared(frame)
    found, linearised = known.radius.to_numpy(float), known.linearised.to_numpy(float)
    counts = {
        "n": len(known),
        "wrong": int((frame.radius == 0).sum()),
        "missed": int(np.isinf(frame.radius).sum()),
    }
    if len(known) < 3 or not np.ptp(found) or not np.ptp(linearised):
        return {"r2": math.nan, "identity": math.nan, "ratio": math.nan, **counts}
    left = ((found - linearised) ** 2).sum() / ((found - found.mean()) ** 2).sum()
    r2 = round(float(stats.pearsonr(linearised, found).statistic) ** 2, 12)  # a line is 1, and not 0.9999999999999998
    return {"r2": r2, "identity": float(1 - left), "ratio": float(np.median(found / linearised)), **counts}


def r2_interval(frame: pd.DataFrame) -> Interval:
    """95 % interval of r², by Fisher's transformation of the correlation."""
    known = compared(frame)
    if math.isnan(explained(frame)["r2"]) or len(known) < 4:
        return UNSURE
    ends = stats.pearsonr(known.linearised, known.radius).confidence_interval(LEVEL)
    squares = sorted((float(ends.low) ** 2, float(ends.high) ** 2))
    return (0.0 if ends.low < 0 < ends.high else squares[0], squares[1])


def measurements(
    attack: str = "cw",
    options: Mapping[str, Any] | None = None,
    limit: int | None = 200,
    candidates: Candidates = None,
    seed: int = 0,
) -> Sequence[Measurement]:
    """The one measurement."""
    return [Linearity(attack, options or {}, limit, candidates, seed)]


def table(records: Records, chosen: Sequence[Record]) -> Table:
    """One row per recipe and attack, over its seeds."""
    groups = _groups(chosen)
    selected = [f"{row.data}, {row.recipe}" for row, group in groups if any(map(_is_of_few, group))]
    notes = [MEANING, f"{MISSED} {'; '.join(selected)}."] if selected else [MEANING]
    return Table(pd.DataFrame([_line(row, group) for row, group in groups]), notes)


def _is_of_few(record: Record) -> bool:
    """Whether the attack missed more than a few samples: those that it found are then the closest ones."""
    told = record.details
    return int(told["missed"]) > FEW * (int(told["n"]) + int(told["missed"]))


def _line(row: Row, group: Sequence[Record]) -> dict[str, Any]:
    def mean(name: str) -> str:
        values = np.array([float(record.details[name]) for record in group])
        return "–" if np.isnan(values).any() else f"{values.mean():.3g}"

    return {
        "data": row.data,
        "recipe": row.recipe,
        "models": len(group),
        "attack": TITLES[group[0].quantity.settings["attack"]],
        "r²": cell(group),
        "of the identity": mean("identity"),
        "median found / linearised": mean("ratio"),
        **{name: sum(int(record.details[name]) for record in group) for name in ("n", "wrong", "missed")},
    }


def draw(records: Records, chosen: Sequence[Record]) -> dict[str, Figure]:
    """A picture per data set and attack, a panel per recipe, of the model of the first seed."""
    panels: dict[tuple[str, str], list[tuple[Row, Record]]] = {}
    for row, group in _groups(chosen):
        panels.setdefault((row.data, str(group[0].quantity.settings["attack"])), []).append((row, group[0]))
    return {f"{slug(data)}-{attack}": _picture(records, data, models) for (data, attack), models in panels.items()}


def _groups(chosen: Sequence[Record]) -> list[tuple[Row, list[Record]]]:
    """The models of each row by what was measured, the first seed first."""
    found = []
    for row in rows(chosen):
        groups: dict[Quantity, list[Record]] = {}
        for record in sorted(row.records, key=lambda record: record.model.seed):
            groups.setdefault(record.quantity, []).append(record)
        found += [(row, group) for group in groups.values()]
    return found


def _picture(records: Records, data: str, models: Sequence[tuple[Row, Record]]) -> Figure:
    figure, axes = panels_for(len(models), height=2.5)
    for axis, (row, record) in zip(axes, models, strict=True):
        _panel(axis, records.per_sample(record), f"{row.recipe}, {_explained(record)}")
    attack = TITLES[models[0][1].quantity.settings["attack"]]
    figure.supxlabel("|ρ(x)_c̃|, linearised")
    figure.supylabel(f"L2 distance under {attack}")
    titled(figure, f"{data}: robustness against Lemma 1")
    return figure


def _explained(record: Record) -> str:
    return "r² unknown" if math.isnan(record.value) else f"r² = {record.value:.2f}"


def _panel(axis: Axes, frame: pd.DataFrame, title: str) -> None:
    """A dot per sample, and the identity; what lies beyond the frame is counted."""
    known = compared(frame)
    both = known[["linearised", "radius"]].to_numpy(float)
    end = 1.05 * max((np.percentile(column, SEEN) for column in both.T if len(column)), default=1.0)
    beyond = int((both > end).any(axis=1).sum())
    axis.plot([0, end], [0, end], color="gray", lw=0.8, ls="--", label="identity")
    axis.plot(*both.T, ".", ms=3, alpha=0.6, mew=0, color=COLOURS["P"], label="samples", rasterized=len(both) > CLOUD)
    told = f"n {len(known)}\nmissed {int(np.isinf(frame.radius).sum())}\nbeyond the frame {beyond}"
    axis.text(0.98, 0.02, told, transform=axis.transAxes, ha="right")
    axis.set(xlim=(0, end), ylim=(0, end), aspect="equal")
    axis.set_title(literal(title, 30))


LINEARITY = FigureKind(
    "linearity", "Local linearity (paper 1, Lemma 1 and Fig. 8)", (KIND,), measurements, table, draw
)

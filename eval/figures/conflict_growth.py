"""How the conflict μ of the gradients grows with the attack budget: paper 3, Fig. 2b and Theorem 1.

The theorem's proof (Eq. 11) ends with μ ≤ ½ λ_max ‖ε‖². For ‖ε‖∞ ≤ δ it goes on with ‖ε‖² ≤ d² δ², where ‖ε‖² ≤ d δ²
holds already; the bound here has d. Its first line drops what is not linear in ε, so it is a bound for small δ alone.
Before that the proof has, without any approximation,

    2 μ = ‖g_a − g_n‖² − (‖g_n‖ − ‖g_a‖)² ≤ ‖g_a − g_n‖²,

and ½‖g_a − g_n‖² stands beside it. The theorem is of one input; here "x" is all inputs of the samples together.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from alignment.contracts import check_choice, check_counts
from alignment.double import exactly
from alignment.gradients import evaluating, logits_of
from eval.figures.inner_maximum import UNBOUNDED, InnerMaximum
from eval.figures.kind import FigureKind
from eval.figures.panels import legend_below, lined, literal, panels, panels_for, rows_by_data, titled
from eval.figures.parameter_gradients import ParameterGradients
from eval.figures.settings import pictures, rows_by_settings, told_apart
from eval.figures.style import COLOURS
from eval.records import Quantity, Record, Records
from eval.records.identity import plain, slug
from eval.records.outcome import Measurement, Outcome
from eval.records.subject import first_samples
from eval.robustness.batching import Batching
from eval.tables import Row, Table
from training.attacks import Norm
from training.conflict import conflict
from training.data import Batch, DataSet
from training.passes import CountPasses
from training.seeds import generator_for
from training.strength import Strength

KIND = "conflict_growth"
PAPERS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
"""Budgets of Fig. 2."""


@dataclass(frozen=True)
class ConflictGrowth:
    """Slope of log μ against log δ, with μ that of a classifier's gradients on all samples at once; 2 is δ².

    The classifier is in evaluation mode, where a training step has it in training mode.

    Args:
        budgets: values of δ.
        norm: of the ball.
        steps: of PGD, where the inner maximum has no closed form, see `InnerMaximum`.
        clipped: keep x' within the bounds of the data, which Eq. 15 does not.
        samples: the first so many; None for all.
        seed: of PGD and of the search for λ_max.

    Raises:
        ValueError: for a choice that does not exist, fewer than two budgets, or one that is not above 0.
    """

    budgets: tuple[Strength, ...] = tuple(Strength(budget) for budget in PAPERS)
    norm: Norm = "Linf"
    steps: int = 40
    clipped: bool = True
    samples: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice(self.norm, get_args(Norm), "norm")
        check_counts(1, steps=self.steps)
        if len(set(map(float, self.budgets))) < 2 or not all(budget > 0 for budget in self.budgets):
            raise ValueError(f"`budgets` should be two or more different numbers above 0. Found {[*self.budgets]}.")

    def quantity(self, data: DataSet) -> Quantity:
        """The slope, with all that it depends on."""
        return Quantity(KIND, settings=plain(asdict(self)))

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """The slope; per budget everything that the picture shows."""
        few = first_samples(batches, self.samples)
        x, y = (torch.cat(parts) for parts in zip(*[(batch.x, batch.y) for batch in few], strict=True))
        gradients = ParameterGradients(classifier, y)
        clean, curved = gradients.mean(x), self._curvature(gradients, x)
        bounds = data.bounds if self.clipped else UNBOUNDED
        maximum, right = InnerMaximum(self.norm, self.steps, bounds, self.seed), _accuracy(classifier, x, y)
        lines = []
        for budget in self.budgets:
            perturbed, how = maximum(classifier, x, y, float(budget))
            squared = float(budget) ** 2 * len(x) * (x[0].numel() if self.norm == "Linf" else 1)
            line = {"budget": float(budget), "theorem": curved * squared / 2}
            line |= _compared(clean, gradients.mean(perturbed)) | {"accuracy": right}
            lines.append(line | {"adversarial_accuracy": _accuracy(classifier, perturbed, y)})
        frame = pd.DataFrame(lines).sort_values("budget", ignore_index=True)
        slope, explained = growth(frame.budget.to_numpy(), frame.mu.to_numpy())
        told = {"explained": explained, "inner_maximum": how, "largest_curvature": curved}
        arrays = {name: frame[name].to_numpy() for name in frame}
        return Outcome(slope, frame, details=told, arrays=arrays, samples=len(y))

    def _curvature(self, gradients: ParameterGradients, x: Tensor) -> float:
        """λ_max; NaN where an operation of the network has no second derivative, which μ does without."""
        try:
            with sdpa_kernel(SDPBackend.MATH):  # the fused forms of attention have none
                return float(gradients.largest_curvature(x, generator_for(self.seed, "curvature")))
        except RuntimeError as error:
            if "is not implemented" not in str(error):
                raise
            return math.nan


def growth(budgets: np.ndarray, mu: np.ndarray) -> tuple[float, float]:
    """Slope of log μ against log δ, and the share of variance that the line explains; NaN without two values of μ.

    Example:
        >>> [round(number, 6) for number in growth(np.array([1.0, 2.0, 4.0]), np.array([3.0, 12.0, 48.0]))]
        [2.0, 1.0]
    """
    usable = np.isfinite(mu) & (mu > 0)
    if usable.sum() < 2:
        return math.nan, math.nan
    line = stats.linregress(np.log(budgets[usable]), np.log(mu[usable]))
    return float(line.slope), float(line.rvalue**2)


def _compared(clean: list[Tensor], adversarial: list[Tensor]) -> dict[str, float]:
    """Parts of μ; μ itself by the proof's identity, since 1 − cos loses its digits where the gradients agree."""
    measured = conflict(clean, adversarial)
    apart = [one - other for one, other in zip(adversarial, clean, strict=True)]
    exact = float(conflict(apart, apart).clean_norm.square()) / 2
    norms = float(measured.clean_norm), float(measured.adversarial_norm)
    mu = max(exact - (norms[1] - norms[0]) ** 2 / 2, 0.0)
    told = {"clean_norm": norms[0], "adversarial_norm": norms[1], "cosine": float(measured.cosine)}
    return {"mu": mu, "exact": exact} | told


def _accuracy(classifier: CountPasses, x: Tensor, y: Tensor) -> float:
    def right(rows: Tensor) -> Tensor:
        return logits_of(classifier, x[rows]).argmax(dim=1) == y[rows]

    with evaluating(classifier), torch.no_grad():
        found = torch.cat(Batching("auto").over(torch.arange(len(y), device=y.device), right))
    return float(exactly(found).mean())


def measurements(
    budgets: Sequence[float | str] = PAPERS,
    norm: Norm = "Linf",
    steps: int = 40,
    clipped: bool = True,
    samples: int | None = None,
    seed: int = 0,
) -> Sequence[Measurement]:
    """The one measurement, see `ConflictGrowth`."""
    return [ConflictGrowth(tuple(Strength(budget) for budget in budgets), norm, steps, clipped, samples, seed)]


def table(records: Records, chosen: Sequence[Record]) -> Table:
    """One line per model: slope, and μ at the smallest and the largest budget with the bounds."""
    found = [row for same in rows_by_settings(chosen).values() for row in same]
    apart = told_apart(chosen)
    lines = [
        _line(row, record, records.arrays(record)) | apart[record.quantity] for row in found for record in row.records
    ]
    told = [
        "Slope: of log μ against log δ; Theorem 1 has 2 as the largest order. ½‖g_a − g_n‖² bounds μ at every δ; "
        "½ λ_max ‖ε‖² is the theorem's, with ‖ε‖² ≤ d δ² in L∞ where the paper prints d² δ², and holds for small δ."
    ]
    bounds = [(records.arrays(record)["mu"], records.arrays(record)["theorem"]) for record in chosen]
    broken, total = (sum(int(found.sum()) for found in kept) for kept in zip(*map(_broken, bounds), strict=True))
    told.append(f"μ lies above the theorem's bound at {broken} of {total} budgets.")
    if any(np.isnan(bound).any() for _, bound in bounds):
        told.append("½ λ_max ‖ε‖²: – where an operation of the network has no second derivative.")
    told += [_told_of_trained(data, _at_their_own(records, rows)) for data, rows in rows_by_data(chosen).items()]
    return Table(pd.DataFrame(lines), [note for note in told if note])


def _broken(found: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """At which budgets μ lies above the bound, and at which the bound is known."""
    mu, bound = found
    return mu > bound, np.isfinite(bound)


def _told_of_trained(data: str, own: pd.DataFrame) -> str:
    """How μ grows over models that are attacked with what they were trained with, as in the paper's figure."""
    if len(own) < 2:
        return ""
    slope, explained = growth(own.budget.to_numpy(), own.mu.to_numpy())
    return (
        f"{data}: over models, each at the budget that it was trained with, the slope is {slope:.2f} (R² "
        f"{explained:.3f}, {len(own)} budgets); the paper's figure, which is of this kind, shows one of almost 2."
    )


def _line(row: Row, record: Record, arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    ends = (0, -1)
    shown = {
        name: "–" if np.isnan(arrays[key]).any() else " … ".join(f"{arrays[key][end]:.3g}" for end in ends)
        for name, key in SHOWN.items()
    }
    names = {"data": row.data, "recipe": row.recipe, "seed": str(record.model.seed)}
    explained = float(record.details["explained"])  # a NaN is read as its text
    known = not math.isnan(record.value)
    slope = {"slope": f"{record.value:.2f}" if known else "–", "R²": f"{explained:.3f}" if known else "–"}
    return names | slope | shown | {"inner maximum": str(record.details["inner_maximum"])}


SHOWN = {"δ": "budget", "μ": "mu", "½‖g_a − g_n‖²": "exact", "½ λ_max ‖ε‖²": "theorem"}


def draw(records: Records, chosen: Sequence[Record]) -> Mapping[str, Figure]:
    """μ against δ for each model; and, where models were trained at several δ, each at its own, as in Fig. 2b."""
    found = pictures(chosen, partial(_grown, records))
    for data, rows in rows_by_data(chosen).items():
        own = _at_their_own(records, rows)
        if len(own) > 1:
            found[f"trained-{slug(data)}"] = _trained(data, own)
    return found


def _grown(records: Records, data: str, rows: Sequence[Row]) -> Figure:
    figure, (axis,) = panels(1)
    for row, look in lined(rows):
        for number, record in enumerate(row.records):
            arrays = records.arrays(record)
            slope = "no slope" if math.isnan(record.value) else f"slope {record.value:.2f}"
            label = None if number else f"{literal(row.recipe, 32)}: {slope}"
            axis.plot(arrays["budget"], arrays["mu"], color=look.color, marker=look.marker, label=label)
            for key, style in (("exact", ":"), ("theorem", "--")):
                axis.plot(arrays["budget"], arrays[key], style, color=look.color, lw=0.9)
    axis.plot([], [], "k:", lw=0.9, label="½‖g_a − g_n‖²")
    axis.plot([], [], "k--", lw=0.9, label="½ λ_max ‖ε‖², Theorem 1")
    axis.set(xscale="log", yscale="log", xlabel="attack budget δ", ylabel="μ")
    legend_below(figure, [axis])
    titled(figure, f"{data}: conflict of the gradients against the attack budget")
    return figure


def _at_their_own(records: Records, rows: Sequence[Row]) -> pd.DataFrame:
    """What was measured of each model at the budget it was trained with, in the order of budgets."""
    lines: list[dict[str, Any]] = []
    for record in [record for row in rows for record in row.records if record.model.epsilon]:
        arrays = records.arrays(record)
        here = np.flatnonzero(np.isclose(arrays["budget"], float(Strength(record.model.epsilon))))
        lines += [{name: float(values[place]) for name, values in arrays.items()} for place in here]
    frame = pd.DataFrame(lines)
    return frame if frame.empty else frame.groupby("budget", as_index=False).mean()


def _trained(data: str, own: pd.DataFrame) -> Figure:
    figure, axes = panels_for(5)
    _beside(axes[0], own, {"accuracy": "clean", "adversarial_accuracy": "adversarial"}, "accuracy")
    slope, _ = growth(own.budget.to_numpy(), own.mu.to_numpy())
    axes[1].plot(own.budget, own.mu, "o-", color=COLOURS["P"], label=f"μ, slope {slope:.2f}")
    axes[1].plot(own.budget, own.exact, "k:", lw=0.9, label="½‖g_a − g_n‖²")
    axes[1].plot(own.budget, own.theorem, "k--", lw=0.9, label="Theorem 1")
    axes[1].set(yscale="log", ylabel="μ")
    axes[1].legend()
    for axis, (key, label) in zip(
        axes[2:], {"clean_norm": "‖g_n‖", "adversarial_norm": "‖g_a‖"}.items(), strict=False
    ):
        _beside(axis, own, {key: label}, label)
    _beside(axes[4], own.assign(apart=1 - own.cosine), {"apart": "1 − cos"}, "1 − cos(g_n, g_a)")
    for axis in axes:
        axis.set_xlabel("δ of training and attack")
    titled(figure, f"{data}: models trained at several budgets")
    return figure


def _beside(axis: Axes, own: pd.DataFrame, columns: Mapping[str, str], label: str) -> None:
    """Bars of one or two columns for each budget."""
    width = 0.7 / len(columns)
    for number, ((key, name), colour) in enumerate(zip(columns.items(), COLOURS.values(), strict=False)):
        places = np.arange(len(own)) + (number - (len(columns) - 1) / 2) * width
        axis.bar(places, own[key], width, label=name, color=colour)
    axis.set_xticks(range(len(own)), [f"{budget:g}" for budget in own.budget])
    axis.set_ylabel(label)
    if len(columns) > 1:
        axis.set_ylim(0, 1.2 * float(own[[*columns]].max().max()))
        axis.legend(ncols=len(columns), loc="upper center", columnspacing=1, handlelength=1.2)


CONFLICT_GROWTH = FigureKind(
    KIND, "Growth of the conflict with the attack budget (paper 3, Fig. 2b)", (KIND,), measurements, table, draw
)

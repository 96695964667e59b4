"""What a step of AGR lowers the losses by, against what paper 2 promises: Theorem 4.1.

(Its Theorem 4.3 with Eqs. 12 and 13 bounds the generalisation error; it says nothing of a step.)
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from alignment.contracts import check_choice, check_counts, check_number
from alignment.double import exactly
from alignment.gradients import evaluating, logits_of
from eval.figures.kind import FigureKind
from eval.figures.panels import legend_below, lined, literal, panels, titled
from eval.figures.parameter_gradients import Moved, ParameterGradients
from eval.figures.settings import pictures, rows_by_settings, told_apart
from eval.figures.style import CLOUD
from eval.records import Quantity, Record, Records
from eval.records.identity import plain
from eval.records.intervals import share_interval
from eval.records.outcome import Measurement, Outcome
from eval.records.subject import first_samples
from eval.tables import Row, Table, cell
from training.attacks import Norm, pgd
from training.combiners import AGR
from training.data import Batch, DataSet
from training.descent import Descent, promised_descent, smoothness_along
from training.passes import CountPasses
from training.seeds import generator_for
from training.strength import Strength

KIND = "descent"
LOSSES = ("clean", "adversarial")
ROUNDING = 3e-7
"""By how much a mean loss of logits in float32 may be off; bounds of tiny steps are narrower."""
LETTERS = {"promised": "η⟨∇L, g⟩", "achieved": "L(w) − L(w − ηg)"}


@dataclass(frozen=True)
class StepDescent:
    """Share of batches on which a step w − η g of AGR lowers the clean and the adversarial loss, as promised.

    Losses are cross-entropies of a batch, at x and at x' = PGD(x), which stays as it is while the weights move; the
    classifier is in evaluation mode. g is what AGR makes of their gradients. The smoothness of a loss is estimated
    along the step, by ‖∇L(w − ηg) − ∇L(w)‖ / ‖ηg‖ at several lengths of it, of which the largest counts.

    Args:
        epsilon: radius of the ball in which x' is sought.
        norm: of the ball.
        steps: of PGD.
        rates: values of η.
        batches: how many.
        batch_size: samples in each.
        clip_norm: C of AGR; None for no clip.
        seed: of PGD.

    Raises:
        ValueError: for a choice that does not exist, or a number out of its range.
    """

    epsilon: Strength
    norm: Norm = "Linf"
    steps: int = 10
    rates: tuple[float, ...] = (0.001, 0.01, 0.1)
    batches: int = 20
    batch_size: int = 128
    clip_norm: float | None = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice(self.norm, get_args(Norm), "norm")
        check_counts(1, steps=self.steps, batches=self.batches, batch_size=self.batch_size)
        for rate in self.rates or (math.nan,):
            check_number(rate, "rates", "be above 0 and finite", lambda value: 0 < value < math.inf)

    def quantity(self, data: DataSet) -> Quantity:
        """The share, with all that it depends on."""
        return Quantity(KIND, settings=plain(asdict(self)))

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """The share of steps; a row per batch, rate and loss."""
        few = first_samples(batches, self.batches * self.batch_size)
        x, y = (torch.cat(parts) for parts in zip(*[(batch.x, batch.y) for batch in few], strict=True))
        lines: list[dict[str, Any]] = []
        for number, (inputs, labels) in enumerate(
            zip(x.split(self.batch_size), y.split(self.batch_size), strict=True)
        ):
            drawn = generator_for(self.seed, "attack", number, device=x.device)
            settings: Any = {"norm": self.norm, "steps": self.steps, "bounds": data.bounds, "loss": "cross_entropy"}
            perturbed = pgd(classifier, inputs, labels, float(self.epsilon), generator=drawn, **settings)
            lines += [{"batch": number} | line for line in self._steps(classifier, inputs, perturbed, labels)]
        frame = pd.DataFrame(lines)
        kept = frame.assign(lowered=frame.achieved >= 0).groupby(["batch", "rate"]).lowered.all()
        told = {"within_bounds": float(_within(frame).mean())}
        arrays = {name: frame[name].to_numpy() for name in frame if name != "loss"}
        arrays["is_clean"] = (frame.loss == "clean").to_numpy()
        share = share_interval(int(kept.sum()), len(kept))
        return Outcome(float(kept.mean()), frame, share, details=told, arrays=arrays, samples=len(kept))

    def _steps(self, classifier: CountPasses, x: Tensor, perturbed: Tensor, y: Tensor) -> list[dict[str, Any]]:
        """One line per rate and loss of a batch."""
        at = {"clean": x, "adversarial": perturbed}
        gradients = ParameterGradients(classifier, y)
        before = {name: gradients.mean(inputs) for name, inputs in at.items()}
        followed = AGR(self.clip_norm)({name: list(tensors) for name, tensors in before.items()})
        names = [name for name, weight in classifier.named_parameters() if weight.requires_grad]
        lines = []
        for rate in self.rates:
            step = dict(zip(names, torch._foreach_mul(followed, -rate), strict=True))
            curved = {name: _smoothness(classifier, step, inputs, y, before[name]) for name, inputs in at.items()}
            promised = promised_descent(before, followed, learning_rate=rate, smoothness=curved)
            for name, inputs in at.items():
                achieved = _loss(classifier, inputs, y) - _loss(Moved(classifier, step), inputs, y)
                lines.append({"rate": rate, "loss": name} | _said(promised[name], achieved, curved[name]))
        return lines


def _smoothness(
    classifier: CountPasses, step: Mapping[str, Tensor], x: Tensor, y: Tensor, before: list[Tensor]
) -> float:
    """The largest ‖∇L(w + s·step) − ∇L(w)‖ / ‖s·step‖ for s of a quarter, a half and 1; an estimate from below."""
    found = []
    for part in (0.25, 0.5, 1.0):
        moved = {name: part * change for name, change in step.items()}
        after = ParameterGradients(Moved(classifier, moved), y).mean(x)
        found.append(float(smoothness_along(before, after, list(moved.values()))))
    return max(found)


def _loss(network: torch.nn.Module, x: Tensor, y: Tensor) -> float:
    """The mean cross-entropy, in float64, since a small step changes it by little."""
    with evaluating(network), torch.no_grad():
        logits = exactly(logits_of(network, x))
        return float(F.cross_entropy(logits, y.to(logits.device)))


def _said(promised: Descent, achieved: float, smoothness: float) -> dict[str, float]:
    return {
        "promised": float(promised.promised),
        "at_least": float(promised.at_least),
        "at_most": float(promised.at_most),
        "achieved": achieved,
        "largest_rate": float(promised.largest_rate),
        "smoothness": smoothness,
    }


def measurements(
    epsilon: float | str,
    norm: Norm = "Linf",
    steps: int = 10,
    rates: Sequence[float] = (0.001, 0.01, 0.1),
    batches: int = 20,
    batch_size: int = 128,
    clip_norm: float | None = 0.1,
    seed: int = 0,
) -> Sequence[Measurement]:
    """The one measurement, see `StepDescent`."""
    return [StepDescent(Strength(epsilon), norm, steps, tuple(rates), batches, batch_size, clip_norm, seed)]


def table(records: Records, chosen: Sequence[Record]) -> Table:
    """One line per recipe and rate."""
    lines, apart = [], told_apart(chosen)
    for row in [row for same in rows_by_settings(chosen).values() for row in same]:
        every = pd.concat([records.per_sample(r).assign(model=n) for n, r in enumerate(row.records)])
        names = {
            "data": row.data,
            "recipe": row.recipe,
            "models": str(row.models),
            "lowered both, all η": cell(row.records),
        }
        names |= apart[row.records[0].quantity]
        lines += [names | _line(float(rate), steps) for rate, steps in every.groupby("rate")]
    told = [
        "Theorem 4.1 promises, of first order, that a step of AGR raises neither loss. Within: the achieved descent "
        "lies within η⟨∇L, g⟩ ± M η² ‖g‖² / 2, with M estimated from below, as the largest ‖Δ∇L‖ / ‖Δw‖ along the "
        "step. Evaluation mode, the batch's own x' held fixed; plain gradient descent without momentum. Where AGR "
        "made g orthogonal to ∇L a step promises 0, and only those that promise more count in achieved / promised."
    ]
    return Table(pd.DataFrame(lines), told)


def _line(rate: float, steps: pd.DataFrame) -> dict[str, str]:
    """Of all batches and models at one rate."""
    shares = {name: steps[steps.loss == name].achieved.ge(0).mean() for name in LOSSES}
    kept = steps.assign(lowered=steps.achieved >= 0).groupby(["model", "batch"]).lowered.all().mean()
    ratio = {name: _ratio(steps[steps.loss == name]) for name in LOSSES}
    said = {"η": f"{rate:g}", "both lowered": f"{100 * kept:.1f} %"}
    said |= {f"{name} lowered": f"{100 * share:.1f} %" for name, share in shares.items()}
    said |= {f"{name}, achieved / promised": value for name, value in ratio.items()}
    return said | {"within": f"{100 * _within(steps).mean():.1f} %"}


def _ratio(steps: pd.DataFrame) -> str:
    """Median of achieved over promised where something is promised: g may be orthogonal to ∇L, up to rounding."""
    promising = steps[steps.promised.abs() > ROUNDING]
    return f"{(promising.achieved / promising.promised).median():.3f}" if len(promising) else "–"


def _within(steps: pd.DataFrame) -> pd.Series:
    """Whether the achieved descent is one that the bound allows, up to rounding."""
    return steps.achieved.between(steps.at_least - ROUNDING, steps.at_most + ROUNDING)


def draw(records: Records, chosen: Sequence[Record]) -> Mapping[str, Figure]:
    """For each data set the achieved against the promised descent of every step, a panel per loss."""
    return pictures(chosen, partial(_drawn, records))


def _drawn(records: Records, data: str, rows: Sequence[Row]) -> Figure:
    figure, axes = panels(2, height=2.8)
    for axis, name in zip(axes, LOSSES, strict=True):
        for row, look in lined(rows):
            for number, record in enumerate(row.records):
                steps = records.per_sample(record)
                steps = steps[steps.loss == name]
                label = None if number else literal(row.recipe, 32)
                x, y = steps.promised, steps.achieved
                drawn = axis.scatter(x, y, 9, look.color, marker=look.marker, lw=0, label=label)
                drawn.set(alpha=0.7, rasterized=len(steps) > CLOUD)
        _diagonal(axis)
        axis.set(xlabel=f"promised, {LETTERS['promised']}", ylabel=f"achieved, {LETTERS['achieved']}")
        axis.set_title(f"{name} loss")
    legend_below(figure, axes)
    titled(figure, f"{data}: descent of a step of AGR on the batch that it was made from")
    return figure


def _diagonal(axis: Axes) -> None:
    """Where a step achieves what it promises; logarithmic near both ends, linear about 0."""
    ends = np.abs(np.concatenate([np.asarray(c.get_offsets()).ravel() for c in axis.collections]))
    linear = float(np.quantile(ends[ends > 0], 0.05)) if (ends > 0).any() else 1.0
    axis.set_xscale("symlog", linthresh=linear)
    axis.set_yscale("symlog", linthresh=linear)
    low, high = axis.get_xlim()
    axis.plot([low, high], [low, high], "k:", lw=0.9)
    axis.axhline(0, color="black", lw=0.6)


DESCENT = FigureKind(
    KIND, "Promised and achieved descent of a step of AGR (paper 2, Theorem 4.1)", (KIND,), measurements, table, draw
)

"""Clean and adversarial loss along one random direction of the weights: paper 2, Figs. 5 and S1.

The direction is that of Li et al. 2018, https://arxiv.org/abs/1712.09913: Gaussian, each filter scaled to the length
of the network's own. The adversarial loss is that of Wu et al. 2020, https://arxiv.org/abs/2004.05884, who find x'
anew at every point.
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
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from torch import Tensor, nn

from alignment.contracts import check_choice, check_counts, check_number
from alignment.gradients import evaluating, logits_of
from eval.figures.kind import FigureKind
from eval.figures.panels import legend_below, lined, literal, panels, titled
from eval.figures.settings import pictures, rows_by_settings, told_apart
from eval.records import Quantity, Record, Records
from eval.records.identity import plain
from eval.records.intervals import mean_interval
from eval.records.outcome import Measurement, Outcome, outcomes_of
from eval.robustness.batching import Batching
from eval.tables import Row, Table, cell
from training.attacks import Norm, pgd
from training.data import Batch, DataSet
from training.passes import CountPasses
from training.seeds import derived_seed, generator_for
from training.strength import Strength
from training.weight_perturbation import Substituted

KIND = "landscape"
PREFIX = "classifier."
"""Of the names of a classifier's parameters, where its passes are counted."""


def weight_direction(network: nn.Module, seed: int = 0) -> dict[str, Tensor]:
    """A random direction in a network's weights, by name, each filter as long as the network's own.

    Two networks of one architecture have the same direction up to these lengths. Biases and the scales of
    normalisation, which have one dimension, stay where they are.

    Args:
        network: with weights of two or more dimensions; a filter is what belongs to one output.
        seed: of the direction.

    Raises:
        ValueError: if there are no such weights.
    """
    weights = {name: weight.detach() for name, weight in network.named_parameters() if weight.ndim > 1}
    if not weights:
        raise ValueError("`classifier` should have weights of two or more dimensions. Found none.")
    return {name: _like_filters(weight, seed, name) for name, weight in weights.items()}


def _like_filters(weight: Tensor, seed: int, name: str) -> Tensor:
    drawn = torch.randn(weight.shape, generator=generator_for(seed, "landscape", name)).to(weight)
    lengths = [torch.linalg.vector_norm(part.flatten(1), dim=1) for part in (weight, drawn)]
    return drawn * (lengths[0] / lengths[1]).view(-1, *[1] * (weight.ndim - 1))


@dataclass(frozen=True)
class Landscape:
    """Mean rise of the loss at a distance from the trained weights along a random direction: lower is flatter.

    With ℓ(α) the loss at w + α d, the number is (ℓ(a) + ℓ(−a)) / 2 − ℓ(0) with a = `at`, of the adversarial loss
    where an ε is given, else of the clean one. Losses are cross-entropies; the classifier is in evaluation mode, so
    that statistics of batch normalisation do not move, and is left as it was found.

    Args:
        epsilon: radius in which x' is sought; None for the clean loss alone.
        norm: of the ball.
        steps: of PGD.
        step_size: of PGD; None for its default.
        recomputed: find x' anew at every α, as Wu et al. do; or once, at the trained weights.
        reach: α lies in [−reach, reach].
        points: how many α, an odd number, so that 0 is among them.
        at: a, one of the α.
        seed: of direction and attack.

    Raises:
        ValueError: for a choice that does not exist, or a number out of its range.
    """

    epsilon: Strength | None = None
    norm: Norm = "Linf"
    steps: int = 10
    step_size: Strength | None = None
    recomputed: bool = True
    reach: float = 1.0
    points: int = 21
    at: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice(self.norm, get_args(Norm), "norm")
        check_counts(3, points=self.points)
        check_number(self.points, "points", "be odd", lambda value: value % 2 == 1)
        check_number(self.reach, "reach", "be above 0 and finite", lambda value: 0 < value < math.inf)
        if not np.isclose(self.alphas, self.at).any() or self.at <= 0:
            raise ValueError(f"`at` should be one of {[float(a) for a in self.alphas if a > 0]}. Found {self.at}.")

    @property
    def alphas(self) -> np.ndarray:
        """α in ascending order."""
        return np.linspace(-self.reach, self.reach, self.points).round(12)

    def quantity(self, data: DataSet) -> Quantity:
        """The rise, with all that it depends on."""
        return Quantity(KIND, settings=plain(asdict(self)))

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """The mean rise; per sample its own."""
        direction = weight_direction(classifier.classifier, self.seed)
        found = [self._of_batch(classifier, direction, batch, data.bounds, n) for n, batch in enumerate(batches)]
        clean, adversarial = (torch.cat(parts, dim=1).cpu().double().numpy() for parts in zip(*found, strict=True))
        losses = {"clean": clean} if self.epsilon is None else {"clean": clean, "adversarial": adversarial}
        rise = self._rise([*losses.values()][-1])
        means = {name: loss.mean(axis=1) for name, loss in losses.items()}
        told = {f"{name}_rise": float(self._rise(loss).mean()) for name, loss in losses.items()}
        frame = outcomes_of(batches, rise=torch.from_numpy(rise))
        return Outcome(
            float(rise.mean()), frame, mean_interval(rise), details=told, arrays={"alpha": self.alphas} | means
        )

    def _rise(self, losses: np.ndarray) -> np.ndarray:
        """Of each sample, from its losses by α."""
        sides = np.isclose(np.abs(self.alphas), self.at)
        return losses[sides].mean(axis=0) - losses[self.points // 2]

    def _of_batch(
        self,
        classifier: CountPasses,
        direction: Mapping[str, Tensor],
        batch: Batch,
        bounds: tuple[float, float],
        n: int,
    ) -> tuple[Float[Tensor, "A B"], Float[Tensor, "A B"]]:
        """Clean and adversarial loss by α, sample by sample, in halves where they do not fit into memory."""
        rows = torch.arange(len(batch.y), device=batch.y.device)

        def measured(part: Int[Tensor, " P"]) -> tuple[Tensor, Tensor]:
            return self._curves(classifier, direction, batch.x[part], batch.y[part], bounds, f"{n} {int(part[0])}")

        clean, adversarial = zip(*Batching("auto").over(rows, measured), strict=True)
        return torch.cat(clean, dim=1), torch.cat(adversarial, dim=1)

    def _curves(
        self,
        classifier: CountPasses,
        direction: Mapping[str, Tensor],
        x: Tensor,
        y: Tensor,
        bounds: tuple[float, float],
        place: str,
    ) -> tuple[Tensor, Tensor]:
        seed = derived_seed(self.seed, "attack", place)
        attacked = partial(self._attacked, x=x, y=y, bounds=bounds, seed=seed)
        fixed = None if self.recomputed else attacked(classifier)
        clean, adversarial = [], []
        for alpha in self.alphas:
            moved = _moved(classifier, direction, float(alpha))
            clean.append(_losses(moved, x, y))
            perturbed = attacked(moved) if fixed is None else fixed
            adversarial.append(clean[-1] if self.epsilon is None else _losses(moved, perturbed, y))
        return torch.stack(clean), torch.stack(adversarial)

    def _attacked(self, network: nn.Module, x: Tensor, y: Tensor, bounds: tuple[float, float], seed: int) -> Tensor:
        """Inputs x' against a network; the random start is the same at every α."""
        if self.epsilon is None:
            return x
        stride = None if self.step_size is None else float(self.step_size)
        settings: Any = {"norm": self.norm, "steps": self.steps, "step_size": stride, "loss": "cross_entropy"}
        drawn = generator_for(seed, device=x.device)
        return pgd(network, x, y, float(self.epsilon), bounds=bounds, generator=drawn, **settings)


def _moved(classifier: CountPasses, direction: Mapping[str, Tensor], alpha: float) -> Substituted:
    """The classifier at w + α d, for calling only."""
    weights = dict(classifier.classifier.named_parameters())
    return Substituted(
        classifier, {PREFIX + name: weights[name].detach() + alpha * d for name, d in direction.items()}
    )


def _losses(network: nn.Module, x: Tensor, y: Tensor) -> Float[Tensor, " B"]:
    with evaluating(network), torch.no_grad():
        return F.cross_entropy(logits_of(network, x), y, reduction="none")


def measurements(
    epsilon: float | str | None = None,
    norm: Norm = "Linf",
    steps: int = 10,
    step_size: float | str | None = None,
    recomputed: bool = True,
    reach: float = 1.0,
    points: int = 21,
    at: float = 0.5,
    seed: int = 0,
) -> Sequence[Measurement]:
    """The one measurement, see `Landscape`."""
    radius, stride = (None if given is None else Strength(given) for given in (epsilon, step_size))
    return [Landscape(radius, norm, steps, stride, recomputed, reach, points, at, seed)]


def table(records: Records, chosen: Sequence[Record]) -> Table:
    """One line per recipe: loss at the trained weights, and its rise."""
    found = [row for same in rows_by_settings(chosen).values() for row in same]
    apart = told_apart(chosen)
    lines = [
        {"data": row.data, "recipe": row.recipe, "models": str(row.models), "rise of the loss": cell(row.records)}
        | _at_rest(records, row)
        | apart[row.records[0].quantity]
        for row in found
    ]
    told = [_told(settings) for settings in {r.quantity: r.quantity.settings for r in chosen}.values()]
    return Table(pd.DataFrame(lines).fillna("–"), told)


def _at_rest(records: Records, row: Row) -> dict[str, str]:
    """Losses at α = 0, means over the models of a row."""
    drawn = [records.arrays(record) for record in row.records]
    kinds = [name for name in ("clean", "adversarial") if name in drawn[0]]
    middle = len(drawn[0]["alpha"]) // 2
    return {f"{name} loss at α = 0": f"{np.mean([a[name][middle] for a in drawn]):.3f}" for name in kinds}


def _told(settings: Mapping[str, Any]) -> str:
    ball = (
        "clean loss" if settings["epsilon"] is None else f"adversarial loss at ε = {settings['epsilon']['written']}"
    )
    anew = (
        ""
        if settings["epsilon"] is None
        else ", x' found anew at every α"
        if settings["recomputed"]
        else ", x' of α = 0"
    )
    return (
        f"Rise: mean of the {ball} at α = ±{settings['at']:g} above that at α = 0, with α in lengths of the "
        f"filters{anew}; lower is flatter. Paper 2 names neither a scale of its direction nor a number of flatness."
    )


def draw(records: Records, chosen: Sequence[Record]) -> Mapping[str, Figure]:
    """For each data set a panel per loss, a line per model."""
    return pictures(chosen, partial(_drawn, records))


def _drawn(records: Records, data: str, rows: Sequence[Row]) -> Figure:
    first = records.arrays(rows[0].records[0])
    kinds = [name for name in ("clean", "adversarial") if name in first]
    figure, axes = panels(len(kinds))
    for axis, kind in zip(axes, kinds, strict=True):
        for row, look in lined(rows):
            for number, record in enumerate(row.records):
                arrays = records.arrays(record)
                label = None if number else literal(row.recipe, 32)
                axis.plot(arrays["alpha"], arrays[kind], **look.line, label=label)
        axis.set(xlabel="α", ylabel=f"{kind} loss")
    legend_below(figure, axes)
    titled(figure, f"{data}: loss along a random direction of the weights")
    return figure


LANDSCAPE = FigureKind(
    KIND, "Loss along a random direction of the weights (paper 2, Figs. 5 and S1)", (KIND,), measurements, table, draw
)

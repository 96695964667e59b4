"""Robustness, distance and alignment of pairs of samples: paper 1, Theorems 1 and 2."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from alignment import closest_class, cosine_similarity, input_gradient, linearised_radii, logits_of
from alignment.contracts import check_choice
from alignment.double import exactly
from eval.figures.kind import FigureKind
from eval.figures.pairs import Pairs, pairs_of
from eval.figures.theorem_pictures import BY, draw, table
from eval.records import Quantity
from eval.records.attack_radii import AttackRadii
from eval.records.intervals import Interval, mean_interval
from eval.records.outcome import Measurement, Outcome
from eval.records.subject import first_samples
from training.data import Batch, DataSet
from training.passes import CountPasses

KIND = "theorems"


@dataclass(frozen=True)
class Theorems:
    """ρ(x_i) + ρ(x_j) beside ‖x_j − x_i‖·α for pairs of two classes (Theorem 1), and the means of all (Theorem 2).

    Where Δx is known a sample is paired with its closest point of the other class, x + Δx; elsewhere the samples of
    one class are paired with those of the next. Pairs that break the assumption, that the two classes are the
    predicted and the closest one at both ends, are left out; with two classes there are none.

    Args:
        by: where ρ comes from: "lemma", the linearised model, which is exact where the model is linear; or an attack,
            "cw" or "fmn". A sample that is wrong already has minus the linearised distance in any case.
        options: what the attack takes.
        limit: samples that pairs are made of, at most.
        seed: of the attack.

    Raises:
        ValueError: if `by` is none of these.
    """

    by: str = "lemma"
    options: Mapping[str, Any] = field(default_factory=dict)
    limit: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice(self.by, tuple(BY), "by")

    def quantity(self, data: DataSet) -> Quantity:
        """How far Theorem 1 is off.

        Raises:
            ValueError: if the attack cannot be used on the data, or does not take the options.
        """
        settings: dict[str, Any] = {"by": self.by, "limit": self.limit}
        if self._radii is not None:
            self._radii.check(data)
            settings |= self._radii.quantity(data).settings
        return Quantity(KIND, settings=settings)

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """Root mean square of the two sides' difference, in units of that of the left side; per pair all parts."""
        samples = first_samples(batches, self.limit)
        pairs = pairs_of(classifier, data, samples)
        kept = pairs[fitting(classifier, pairs)] if len(pairs) else pairs
        frame = self._frame(classifier, data, kept)
        told = summed_up(frame)
        left_out = len(pairs) - len(kept)
        return Outcome(told["off"], frame, interval_of(frame), left_out, details=told, samples=len(frame))

    def _frame(self, classifier: CountPasses, data: DataSet, pairs: Pairs) -> pd.DataFrame:
        alpha = 0.5 * (aligned(classifier, pairs) + aligned(classifier, pairs.turned))
        columns = {
            "distance": (exactly(pairs.other) - exactly(pairs.x)).flatten(1).norm(dim=1),
            "alpha": alpha,
            "rho": self._signed(classifier, data, pairs),
            "rho_other": self._signed(classifier, data, pairs.turned),
        }
        return pd.DataFrame({name: values.cpu().double().numpy() for name, values in columns.items()})

    def _signed(self, classifier: CountPasses, data: DataSet, pairs: Pairs) -> Float[Tensor, " B"]:
        """ρ(x) of Eq. 1: negative where x is misclassified."""
        rho = signed_radii(classifier, pairs)
        if self._radii is None or not len(pairs):
            return rho
        batch = Batch(pairs.x, pairs.y, torch.arange(len(pairs), device=pairs.y.device))
        found = self._radii(classifier, data, [batch]).per_sample["radius"].to_list()
        return torch.where(rho > 0, torch.tensor(found).to(rho), rho)

    @property
    def _radii(self) -> AttackRadii | None:
        return None if self.by == "lemma" else AttackRadii(self.by, "L2", self.options, seed=self.seed)


def aligned(classifier: nn.Module, pairs: Pairs) -> Float[Tensor, " B"]:
    """sim( x_j − x_i, ∇logit(x_i)_j − ∇logit(x_i)_i ): Theorem 1's α."""
    if not len(pairs):
        return pairs.x.new_zeros(0)
    gradient = input_gradient(classifier, pairs.x, pairs.other_y, pairs.y)
    return cosine_similarity(pairs.other - pairs.x, gradient).value


def signed_radii(classifier: nn.Module, pairs: Pairs) -> Float[Tensor, " B"]:
    """Distance from x to the linearised boundary between the two classes of its pair (Eq. 21)."""
    if not len(pairs):
        return pairs.x.new_zeros(0)
    radii = linearised_radii(classifier, pairs.x, pairs.y, candidates="all", signed=True)
    return radii.gather(1, pairs.other_y.unsqueeze(1)).squeeze(1)


def fitting(classifier: nn.Module, pairs: Pairs) -> Bool[Tensor, " B"]:
    """Pairs at whose both ends the predicted and the closest class are the two of the pair."""
    ends = [(pairs.x, pairs.y, pairs.other_y), (pairs.other, pairs.other_y, pairs.y)]
    found = []
    for x, first, second in ends:
        with torch.no_grad():
            predicted = logits_of(classifier, x).argmax(dim=1)
        found.append(_same(predicted, closest_class(classifier, x, predicted), first, second))
    return found[0] & found[1]


def _same(
    a: Int[Tensor, " B"], b: Int[Tensor, " B"], c: Int[Tensor, " B"], d: Int[Tensor, " B"]
) -> Bool[Tensor, " B"]:
    return ((a == c) & (b == d)) | ((a == d) & (b == c))


def interval_of(frame: pd.DataFrame) -> Interval:
    """95 % interval of `off` over pairs, by the bootstrap; the size of the left side is held fixed."""
    known = frame[np.isfinite(frame.rho + frame.rho_other)]
    left, right = known.rho + known.rho_other, known.distance * known.alpha
    low, high = mean_interval(((left - right) ** 2 / (left**2).mean()).to_numpy())
    return math.sqrt(low), math.sqrt(high)


def summed_up(frame: pd.DataFrame) -> dict[str, float]:
    """Both theorems of some pairs.

    Args:
        frame: `distance`, `alpha`, `rho` and `rho_other` of each.

    Returns:
        `off`, by how much Theorem 1 fails, 0 where it holds; `rho`, ρ_m; `alpha`; `nearest` and `furthest`, inf(D)
        and sup(D); `negative`, how many pairs have α < 0, for which Theorem 2 need not hold; `missed`, how many were
        left out of all this because an attack found no radius.

    Example:
        >>> pair = pd.DataFrame({"distance": [2.0], "alpha": [0.5], "rho": [0.7], "rho_other": [0.3]})
        >>> summed_up(pair)["off"], summed_up(pair)["rho"]
        (0.0, 0.5)
    """
    known = frame[np.isfinite(frame.rho + frame.rho_other)]
    left, right = known.rho + known.rho_other, known.distance * known.alpha
    counts = {"negative": int((known.alpha < 0).sum()), "missed": len(frame) - len(known)}
    if not len(known):
        return dict.fromkeys(("off", "rho", "alpha", "nearest", "furthest"), float("nan")) | counts
    return {
        "off": float(np.sqrt(((left - right) ** 2).mean() / (left**2).mean())),
        "rho": float(left.mean() / 2),
        "alpha": float(known.alpha.mean()),
        "nearest": float(known.distance.min()),
        "furthest": float(known.distance.max()),
        **counts,
    }


def measurements(
    by: str = "lemma", options: Mapping[str, Any] | None = None, limit: int = 200, seed: int = 0
) -> Sequence[Measurement]:
    """The one measurement."""
    return [Theorems(by, options or {}, limit, seed)]


THEOREMS = FigureKind(
    "theorems", "Robustness of pairs (paper 1, Theorems 1 and 2)", (KIND,), measurements, table, draw
)

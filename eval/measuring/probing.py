"""Which normalisation a classifier wants, found out on labelled samples where nobody says it.

Inputs are left as they are unless one of the usual normalisations is better and not by chance. Then the user is
asked: a number that is wrong in silence is worse than a question. Better is an accuracy that is higher by `POINTS`,
or a loss that is at most `SHARE` of the other: where nearly all is right either way, as on MNIST, accuracy says
little, and ε50% is wrong by a quarter all the same.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from scipy.stats import binom
from torch import Tensor, nn

from eval.measuring.calibration import calibrated_loss
from eval.records.device import device_of
from eval.records.drawing import drawn_by_class
from eval.records.sanity import logits_at
from eval.robustness.batching import Batching
from training.data import Batch, DataSet, SplitName
from training.data.split import labels_of
from training.networks.normalization import NONE, NORMALIZATIONS, Normalization, Normalized

SAMPLES = 512
"""Labelled samples that are shown, drawn by class."""
POINTS = 5.0
"""Percentage points by which a normalisation must be better to be asked about."""
SHARE = 0.75
"""Of the loss with inputs as they are, how much a normalisation may have left to be asked about."""
ERRORS = 3.0
"""Standard errors that the difference of both losses must be away from none to be asked about."""
DOUBT = 2.0
"""Standard errors from which on it is said."""
LEVEL = 0.01
"""Probability of a question where no normalisation is better, over all of those that are compared."""
UNIT = "0,1"
"""Inputs mapped to [0, 1] and normalised no further, as a user writes it."""


@dataclass(frozen=True)
class Compared:
    """One normalisation beside inputs as they are.

    Attributes:
        name: as a user writes it.
        accuracy: with it.
        ahead: percentage points by which it is better.
        chance: probability of being so much better, or more, if both were equally good: the one-sided exact test of
            McNemar (1947) on the samples about which they differ.
        loss: mean cross-entropy with it, see `calibrated_loss`.
        share: of the loss with inputs as they are.
        errors: standard errors by which its loss is lower.
    """

    name: str
    accuracy: float
    ahead: float
    chance: float
    loss: float = math.nan
    share: float = math.nan
    errors: float = 0.0


@dataclass(frozen=True)
class Probe:
    """What was compared.

    Attributes:
        accuracy: with inputs as they are.
        compared: the normalisations.
        samples: that were shown.
        forward_passes: in samples, for all of it.
        name: of the data set.
    """

    accuracy: float
    compared: tuple[Compared, ...]
    samples: int
    forward_passes: int
    name: str

    @property
    def level(self) -> float:
        """The probability below which one comparison is not taken for chance: `LEVEL` over all of them."""
        return LEVEL / max(len(self.compared), 1)

    @property
    def better(self) -> list[Compared]:
        """Those that are better, in accuracy or in loss, and not by chance, the one of the lowest loss first."""
        found = [one for one in self.compared if self._is_right_more_often(one) or self._is_surer(one)]
        return sorted(found, key=lambda one: (one.loss, -one.accuracy))

    def _is_right_more_often(self, one: Compared) -> bool:
        return one.ahead >= POINTS and one.chance < self.level

    def _is_surer(self, one: Compared) -> bool:
        return one.share <= SHARE and one.errors >= ERRORS and one.ahead > -POINTS

    @property
    def accuracies(self) -> str:
        """All of them, for people."""
        found = {NONE: self.accuracy} | {one.name: one.accuracy for one in self.compared}
        return ", ".join(f"{name} {accuracy:.1%}" for name, accuracy in found.items())

    def _told(self, best: Compared) -> str:
        """What speaks for a normalisation."""
        if self._is_right_more_often(best):
            return f"{best.ahead:.1f} points better than inputs as they are (p = {best.chance:.1g}, McNemar)"
        return (
            f"surer of the true classes than inputs as they are: its loss is {best.share:.2g} of theirs at the best "
            f"temperature of each, {best.errors:.1f} standard errors lower"
        )

    @property
    def sentence(self) -> str:
        """What was found."""
        told = (
            f"Nothing says how inputs are normalised, so they are left as they are: accuracy on {self.samples} "
            f"samples of {self.name} by normalisation: {self.accuracies} ({self.forward_passes:,} forward passes)."
        )
        left = [one for one in self.compared if one not in self.better]
        return told + "".join(
            f" {one.name} is {said}, which may be chance: say which it is, with `normalize`."
            for one in left
            if (said := self._doubt(one))
        )

    def _doubt(self, one: Compared) -> str:
        """What speaks for a normalisation, though it may be chance; empty if nothing does."""
        if one.ahead >= POINTS:
            return f"{one.ahead:.1f} points better (p = {one.chance:.2g}, McNemar)"
        if one.share <= SHARE and one.errors >= DOUBT and one.ahead > -POINTS:
            return f"surer of the true classes ({one.share:.2g} of the loss, {one.errors:.1f} standard errors lower)"
        return ""

    @property
    def question(self) -> str:
        """What the user is asked where one is better."""
        best = self.better[0]
        return (
            f"`normalize` should be given: nothing says how inputs are normalised, and {best.name} is "
            f"{self._told(best)}. Found accuracies on {self.samples} samples of {self.name}: {self.accuracies}. "
            f"Choose with --normalize {best.name} (normalize={best.name!r}), or keep inputs as they are with "
            f"--normalize {NONE}."
        )

    @property
    def details(self) -> dict[str, Any]:
        """For records."""
        compared = {
            one.name: {"accuracy": one.accuracy, "p": one.chance, "loss": one.loss, "errors": one.errors}
            for one in self.compared
        }
        return {
            "accuracy": self.accuracy,
            "compared": compared,
            "samples": self.samples,
            "forward_passes": self.forward_passes,
        }


def candidates(data: DataSet) -> dict[str, Normalization]:
    """The usual normalisations that can be those of a data set, by name; none where inputs are no bounded images."""
    if len(data.shape) != 3 or not all(map(math.isfinite, data.bounds)):
        return {}
    usual = {UNIT: Normalization((0.0,), (1.0,)), **NORMALIZATIONS}
    low, high = data.bounds
    as_they_are = Normalization((low / (low - high),), (1 / (high - low),))
    return {name: one for name, one in usual.items() if len(one.mean) in (1, data.shape[0]) and one != as_they_are}


def probe(classifier: nn.Module, data: DataSet, split: SplitName = "test", seed: int = 0) -> Probe | None:
    """Compare inputs as they are with the usual normalisations; None where there is nothing to compare.

    Args:
        classifier: from inputs to logits; it is left as it was found.
        data: whose labels are believed.
        split: that samples are drawn from.
        seed: of the draw.
    """
    usual = candidates(data)
    if not usual:
        return None
    batch = _samples(data, split, seed)
    plain = _seen(classifier, batch)
    found = []
    for name, normalization in usual.items():
        try:
            other = _seen(behind(normalization, classifier, data), batch)
        except ValueError:  # logits that are NaN, of inputs that the classifier was never meant to see
            other = Seen(torch.zeros_like(plain.correct), torch.full_like(plain.loss, torch.inf))
        found.append(compared(name, plain, other))
    passes = len(batch.y) * (1 + len(usual))
    return Probe(float(plain.correct.double().mean()), tuple(found), len(batch.y), passes, data.name)


def behind(normalization: Normalization, classifier: nn.Module, data: DataSet) -> Normalized:
    """A classifier behind a normalisation, where the classifier is, which is not moved."""
    normalized = Normalized(classifier, normalization, bounds=data.bounds)
    device = device_of(classifier)
    normalized.mean, normalized.std = normalized.mean.to(device), normalized.std.to(device)
    return normalized


class Seen(NamedTuple):
    """What a classifier made of labelled samples.

    Attributes:
        correct: which it is right about.
        loss: of each, see `calibrated_loss`.
    """

    correct: Bool[Tensor, " N"]
    loss: Float[Tensor, " N"]


def compared(name: str, plain: Seen, other: Seen) -> Compared:
    """One normalisation beside inputs as they are, sample by sample.

    Example:
        >>> loss, right = torch.ones(20), torch.tensor([True] * 10 + [False] * 10)
        >>> compared("half", Seen(right, loss), Seen(right | True, loss)).chance == 0.5**10
        True
    """
    gained, lost = int((other.correct & ~plain.correct).sum()), int((plain.correct & ~other.correct).sum())
    chance = float(binom.sf(gained - 1, gained + lost, 0.5))
    count, gain = len(plain.loss), plain.loss - other.loss
    share = float(other.loss.mean() / plain.loss.mean()) if plain.loss.any() else math.nan
    errors = float(gain.mean() / gain.std() * math.sqrt(count)) if gain.isfinite().all() and gain.any() else 0.0
    accuracy, ahead = float(other.correct.double().mean()), 100 * (gained - lost) / count
    return Compared(name, accuracy, ahead, chance, float(other.loss.mean()), share, errors)


def _samples(data: DataSet, split: SplitName, seed: int) -> Batch:
    samples = data.split(split)
    return samples.__getitems__(drawn_by_class(labels_of(samples), SAMPLES, seed).tolist())


def _seen(classifier: nn.Module, batch: Batch) -> Seen:
    device = device_of(classifier)

    def logits_of(rows: Tensor) -> Tensor:
        return logits_at(classifier, batch.x[rows].to(device)).cpu()

    logits = torch.cat(Batching(128).over(torch.arange(len(batch.y)), logits_of))
    return Seen(logits.argmax(dim=1) == batch.y, calibrated_loss(logits, batch.y))

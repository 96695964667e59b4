"""Which normalisation a classifier wants, found out on labelled samples where nobody says it.

Inputs are left as they are unless one of the usual normalisations is better by `POINTS` and not by chance. Then the
user is asked: a number that is wrong in silence is worse than a question.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool
from scipy.stats import binom
from torch import Tensor, nn

from eval.records.device import device_of
from eval.records.drawing import drawn_by_class, labels_of
from eval.records.sanity import logits_at
from eval.robustness.batching import Batching
from training.data import Batch, DataSet, SplitName
from training.networks.normalization import NONE, NORMALIZATIONS, Normalization, Normalized

SAMPLES = 512
"""Labelled samples that are shown, drawn by class."""
POINTS = 5.0
"""Percentage points by which a normalisation must be better to be asked about."""
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
    """

    name: str
    accuracy: float
    ahead: float
    chance: float


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
        """Those that are better by `POINTS` and not by chance, the best first."""
        found = [one for one in self.compared if one.ahead >= POINTS and one.chance < self.level]
        return sorted(found, key=lambda one: -one.accuracy)

    @property
    def accuracies(self) -> str:
        """All of them, for people."""
        found = {NONE: self.accuracy} | {one.name: one.accuracy for one in self.compared}
        return ", ".join(f"{name} {accuracy:.1%}" for name, accuracy in found.items())

    @property
    def sentence(self) -> str:
        """What was found."""
        told = (
            f"Nothing says how inputs are normalised, so they are left as they are: accuracy on {self.samples} "
            f"samples of {self.name} by normalisation: {self.accuracies} ({self.forward_passes:,} forward passes)."
        )
        doubtful = [one for one in self.compared if one.ahead >= POINTS and one not in self.better]
        return told + "".join(
            f" {one.name} is {one.ahead:.1f} points better, which may be chance (p = {one.chance:.2g}, McNemar): "
            "say which it is, with `normalize`."
            for one in doubtful
        )

    @property
    def question(self) -> str:
        """What the user is asked where one is better."""
        best = self.better[0]
        return (
            "`normalize` should be given: nothing says how inputs are normalised, and "
            f"{best.name} is {best.ahead:.1f} points better than inputs as they are (p = {best.chance:.1g}, "
            f"McNemar). Found accuracies on {self.samples} samples of {self.name}: {self.accuracies}. Choose "
            f"with --normalize {best.name} (normalize={best.name!r}), or keep inputs as "
            f"they are with --normalize {NONE}."
        )

    @property
    def details(self) -> dict[str, Any]:
        """For records."""
        compared = {one.name: {"accuracy": one.accuracy, "p": one.chance} for one in self.compared}
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
    plain = _correct(classifier, batch)
    found = []
    for name, normalization in usual.items():
        try:
            correct = _correct(behind(normalization, classifier, data), batch)
        except ValueError:  # logits that are NaN, of inputs that the classifier was never meant to see
            correct = torch.zeros_like(plain)
        found.append(compared(name, plain, correct))
    passes = len(batch.y) * (1 + len(usual))
    return Probe(float(plain.double().mean()), tuple(found), len(batch.y), passes, data.name)


def behind(normalization: Normalization, classifier: nn.Module, data: DataSet) -> Normalized:
    """A classifier behind a normalisation, where the classifier is, which is not moved."""
    normalized = Normalized(classifier, normalization, bounds=data.bounds)
    device = device_of(classifier)
    normalized.mean, normalized.std = normalized.mean.to(device), normalized.std.to(device)
    return normalized


def compared(name: str, plain: Bool[Tensor, " N"], other: Bool[Tensor, " N"]) -> Compared:
    """One normalisation beside inputs as they are, by which samples each is right about.

    Example:
        >>> right = torch.tensor([True] * 10 + [False] * 10)
        >>> compared("half", right, torch.tensor([True] * 20)).chance == 0.5**10
        True
    """
    gained, lost = int((other & ~plain).sum()), int((plain & ~other).sum())
    chance = float(binom.sf(gained - 1, gained + lost, 0.5))
    return Compared(name, float(other.double().mean()), 100 * (gained - lost) / len(plain), chance)


def _samples(data: DataSet, split: SplitName, seed: int) -> Batch:
    samples = data.split(split)
    return samples.__getitems__(drawn_by_class(labels_of(samples), SAMPLES, seed).tolist())


def _correct(classifier: nn.Module, batch: Batch) -> Bool[Tensor, " N"]:
    """Which samples a classifier is right about."""
    device = device_of(classifier)

    def right(rows: Tensor) -> Tensor:
        return logits_at(classifier, batch.x[rows].to(device)).argmax(dim=1).cpu() == batch.y[rows]

    return torch.cat(Batching(128).over(torch.arange(len(batch.y)), right))

"""What each radius is expected to be: only the cost of a search depends on it, never the result."""

import math
from copy import copy

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from eval.robustness.censored import Normal, censored_normal

TINY = 1e-300
"""The smallest radius whose logarithm is taken."""

SPREADS = (0.01, 1.0)
"""Smallest and largest standard deviation of a radius around what is predicted, as logarithms."""

POINTS, ROUNDS = 32, 6
"""A quantile is looked for among so many radii at a time, so many times, each time closer together."""

PORTION = 2**14
"""Samples of which it is asked at once whether they lie below each of these, which takes 250 bytes a sample."""


class Estimates:
    """Radii as predicted, and as corrected by what attacks found: normal on a logarithmic scale, within brackets.

    Args:
        predicted: in any unit, `(N,)` float64, above 0 and finite.
        correct: which samples are classified correctly; the radius of the others is 0.
    """

    def __init__(self, predicted: Float[Tensor, " N"], correct: Bool[Tensor, " N"]) -> None:
        self.predicted, self.correct = predicted.log(), correct
        self.seen, self.reached = torch.zeros_like(correct), torch.zeros_like(predicted)
        self.lower, self.upper = torch.zeros_like(predicted), torch.where(correct, torch.inf, 0.0).double()
        self.ratio = Normal(0.0, 0.2)  # of radii to predictions, as logarithms

    def note(self, part: Int[Tensor, " K"], reached: Float[Tensor, " K"]) -> None:
        """After an attack: where it would have succeeded, by what it left of the margin."""
        self.seen[part], self.reached[part] = True, reached

    def rescale(self, factor: float) -> None:
        """Expect all radii to be so many times as large."""
        self.ratio = self.ratio._replace(mean=self.ratio.mean + math.log(factor))

    def learn(self, lower: Float[Tensor, " N"], upper: Float[Tensor, " N"], chosen: Bool[Tensor, " N"]) -> None:
        """Know the brackets, and fit the ratio of radii to predictions to those of the chosen that were attacked."""
        self.lower, self.upper = lower.clone(), upper.clone()
        failed = lower > 0
        observed = torch.where(failed, self.reached, upper).clamp(min=TINY).log()
        chosen = chosen & self.seen & self.correct & observed.isfinite()
        # The one transfer to the host: iterations over a few hundred numbers would keep a GPU waiting.
        ratios, censored = torch.stack([observed - self.predicted, (~failed).double()])[:, chosen].cpu()
        if len(ratios):
            self.ratio = censored_normal(ratios, censored > 0, *SPREADS)

    @property
    def prior(self) -> Float[Tensor, " N"]:
        """Logarithms of the radii as predictions alone say."""
        return self.predicted + self.ratio.mean

    @property
    def mean(self) -> Float[Tensor, " N"]:
        """Logarithms of the expected radii: from the margin that a failure left, else from predictions."""
        return torch.where(self.lower > 0, self.reached.clamp(min=TINY).log(), self.prior)

    @property
    def spread(self) -> Float[Tensor, " N"]:
        """Standard deviations; what a failure says is the surer, the closer it came."""
        gap = (self.reached / self.lower).clamp(min=1).log()
        return torch.where(self.lower > 0, 0.005 + 0.25 * gap, self.ratio.spread)

    def below(self, radius: Float[Tensor, "*K"] | float) -> Float[Tensor, "*K N"]:
        """Probability that each radius is at most this, or at most each of several."""
        mean, spread = self.mean, self.spread

        def cumulative(values: Tensor) -> Tensor:
            return torch.special.ndtr((values.clamp(TINY, 1 / TINY).log() - mean) / spread)

        radius = torch.as_tensor(radius).to(mean).unsqueeze(-1)
        floor, top = cumulative(self.lower), cumulative(self.upper)
        share = ((cumulative(radius) - floor) / (top - floor).clamp(min=1e-12)).clamp(0, 1)
        return torch.where(radius >= self.upper, 1.0, torch.where(radius <= self.lower, 0.0, share))

    def _count_below(self, radii: Float[Tensor, " K"]) -> Float[Tensor, " K"]:
        """How many samples are expected to lie below each of several radii; of many samples in portions."""
        parts = [self._of(slice(start, start + PORTION)) for start in range(0, len(self.predicted), PORTION)]
        return torch.stack([part.below(radii).sum(dim=1) for part in parts]).sum(dim=0)

    def _of(self, rows: slice) -> "Estimates":
        """The same of some samples."""
        part = copy(self)
        for name in ("predicted", "correct", "seen", "reached", "lower", "upper"):
            setattr(part, name, getattr(self, name)[rows])
        return part

    def quantile(self, rank: int) -> Float[Tensor, ""]:
        """The radius that as many are expected to lie below as have a lower rank, without asking the host."""
        low, high = self.mean.min() - 1, self.mean.max() + 1
        places = torch.arange(1, POINTS, device=low.device, dtype=low.dtype) / POINTS
        for _ in range(ROUNDS):
            step = (high - low) / POINTS
            lie_below = self._count_below((low + places * (high - low)).exp())
            low = low + step * (lie_below <= rank + 0.5).sum()
            high = low + step
        return ((low + high) / 2).exp()

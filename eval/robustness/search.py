"""Brackets around the critical radius of every sample, and the ways of closing them."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eval.attacks.protocols import Attack, MinimumNormAttack
from eval.robustness.first_order import first_order_radii
from eval.robustness.guess import Guess
from eval.robustness.judge import Judge
from training.seeds import generator_for

SMALLEST = 1e-6
"""A radius below this part of the largest strength is not resolved further."""


class Search:
    """What is known of each radius: the largest strength that failed, and the norm of the smallest perturbation.

    Args:
        judge: with the samples and the classifier.
        attack: `(classifier, x, y, strength, *, norm, bounds, generator) → x_adv`.
        epsilon_max: the largest strength to try.
        seed: of the pilot and of the attack's randomness.
    """

    def __init__(self, judge: Judge, attack: Attack | MinimumNormAttack, epsilon_max: float, seed: int) -> None:
        self.judge, self.attack, self.epsilon_max, self.seed = judge, attack, epsilon_max, seed
        self.generator = generator_for(seed, "attack", device=judge.device)
        self.lower = torch.zeros(len(judge.samples), dtype=torch.float64)
        self.upper = torch.where(judge.correct, torch.inf, 0.0).double()

    def try_at(self, which: Int[Tensor, " K"], strength: Float[Tensor, " K"] | float) -> None:
        """Attack some samples, each at its strength, and move their brackets."""
        strengths = torch.as_tensor(strength, dtype=torch.float64).expand(len(which))
        for rows in self.judge.parts(torch.arange(len(which))):
            part, at = which[rows], strengths[rows]
            fooled, size, _ = self.judge.judged(self.attack, part, at, self.generator)
            found = torch.where(fooled, torch.minimum(size, at), torch.inf)
            self.upper[part] = torch.minimum(self.upper[part], found)
            self.lower[part] = torch.where(fooled, self.lower[part], at)

    def run_once(self) -> None:
        """Attack every sample that is classified correctly once, without a strength."""
        for part in self.judge.parts(self.judge.correct.nonzero().squeeze(1)):
            fooled, size, _ = self.judge.judged(self.attack, part, None, self.generator)
            self.upper[part] = torch.where(fooled, size, torch.inf)
        self.lower = self.upper.clamp(max=self.epsilon_max)

    def decide(self, strength: float) -> None:
        """Attack at a strength whoever might be fooled at it or not."""
        self.try_at(self._undecided(strength), strength)

    def close_all(self, which: Int[Tensor, " K"], resolution: float) -> None:
        """Close brackets one by one: gallop away from the first guess until it is bracketed, then bisect."""
        pace = torch.full((len(self.upper),), 1.1, dtype=torch.float64)
        which = self._open(which, resolution)
        strength = 1.05 * self._first_order(which)
        while len(which):
            self.try_at(which, strength.clamp(max=self.epsilon_max))
            which = self._open(which, resolution)
            low, high = self.lower[which], self.upper[which]
            bracketed = (low > 0) & high.isfinite()
            galloped = torch.where(high.isfinite(), high / pace[which], low * pace[which])
            pace[which] = pace[which].square()
            strength = torch.where(bracketed, (low + high) / 2, galloped)

    def pilot(self, size: int, guess: float | None) -> Float[Tensor, " P"]:
        """Radii that say roughly where all radii lie."""
        if guess is not None:
            return torch.tensor([guess], dtype=torch.float64)
        drawn = torch.randperm(len(self.upper), generator=generator_for(self.seed, "pilot"))[:size]
        self.close_all(drawn, 0.05)
        return self.upper[drawn]

    def close_median(self, resolution: float, expected: Float[Tensor, " P"]) -> None:
        """Close the brackets that decide the median, and no others."""
        count = len(self.upper)
        guess = Guess(expected, self.epsilon_max, 1 + 3 * resolution)
        for rank in {(count - 1) // 2, count // 2}:
            for strength in self._strengths(rank, resolution, guess):
                low, high = self._bracket(rank)
                undecided = self._undecided(strength)
                overlap = (self.lower[undecided] < high) & (self.upper[undecided] > low)
                self.try_at(undecided[overlap], strength)

    def _strengths(self, rank: int, resolution: float, guess: Guess) -> Iterator[float]:
        """Where to attack next, as long as the bracket of a rank is open."""
        middle = (rank + 0.5) / len(self.upper)
        strength = guess.quantile(middle)
        while True:
            low, high = self._bracket(rank)
            if not _is_open(low, high, resolution, self.epsilon_max):
                return
            if low > 0 and high < torch.inf:
                strength = float(low + high) / 2
            elif not low < strength < high:
                surplus = float((self.upper <= strength).double().mean()) - middle
                strength = guess.beyond(strength, surplus)
            yield strength

    def _undecided(self, strength: float) -> Int[Tensor, " K"]:
        """The samples of which it is not known whether the attack succeeds at a strength."""
        return ((self.lower < strength) & (strength < self.upper)).nonzero().squeeze(1)

    def _open(self, which: Int[Tensor, " K"], resolution: float) -> Int[Tensor, " K2"]:
        """Those of the samples whose bracket is still wider than the resolution."""
        return which[_is_open(self.lower[which], self.upper[which], resolution, self.epsilon_max)]

    def _bracket(self, rank: int) -> tuple[Tensor, Tensor]:
        """Bounds of the radius that has this rank: order statistics of the brackets' ends."""
        return self.lower.sort().values[rank], self.upper.sort().values[rank]

    def _first_order(self, which: Int[Tensor, " K"]) -> Float[Tensor, " K"]:
        """Radii as they would be if the classifier were linear; where that says nothing, an eighth of the range."""
        start = torch.full((len(which),), self.epsilon_max / 8, dtype=torch.float64)
        if self.judge.norm is None:
            return start
        for rows in self.judge.parts(torch.arange(len(which))):
            x, y = self.judge.shown(which[rows])
            guess = first_order_radii(self.judge.classifier, x, y, self.judge.norm).cpu().double()
            usable = guess.isfinite() & (guess > SMALLEST * self.epsilon_max)
            start[rows] = torch.where(usable, guess, start[rows])
        return start.clamp(max=self.epsilon_max)


def _is_open(low: Tensor, high: Tensor, resolution: float, epsilon_max: float) -> Tensor:
    never = low >= epsilon_max
    close = high.isfinite() & (high - low <= resolution * high)
    return ~(never | close | (high <= SMALLEST * epsilon_max))

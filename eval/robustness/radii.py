"""From an attack with a budget to a critical radius per sample: what robustness means in this house.

The radius of a sample is the smallest strength at which the attack succeeds: 0 if the sample is misclassified
already, infinite if the attack never succeeds. ε50% is the median (paper 1, section 3.3), the accuracy-against-ε
curve is the fraction of radii above ε.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from eval.attacks.verdict import predictions, verdict
from eval.robustness.first_order import first_order_radii
from eval.robustness.passes import CountPasses
from training.attacks import ORDER, Norm, check_inputs
from training.seeds import generator_for

Attack = Callable[..., Tensor]
"""`(classifier, x, y, strength, *, norm, bounds, generator) → x_adv`; strength is one number per sample."""

MinimumNormAttack = Callable[..., Tensor]
"""`(classifier, x, y, *, norm, bounds, generator) → x_adv`: as near to x as the attack can come."""

SMALLEST = 1e-6
"""A radius below this part of the largest strength is not resolved further."""


@dataclass(frozen=True)
class Radii:
    """Critical radii of a set of samples, with what it took to find them.

    Attributes:
        lower: largest strength at which the attack was seen to fail, `(N,)` float64; 0 where none was tried.
        upper: norm of the smallest verified perturbation, `(N,)` float64; 0 if misclassified already,
            infinite if none was found.
        epsilon_max: the largest strength that would have been tried.
        resolution: the relative width to which the brackets that decide the median are closed.
        only: "all" if every other bracket is closed too, "median" if not.
        rejected: answers of the attack that broke its own rules and did not count.
        forward_passes: in samples.
        backward_passes: in samples.
        seconds: wall-clock time.
    """

    lower: Float[Tensor, " N"]
    upper: Float[Tensor, " N"]
    epsilon_max: float
    resolution: float
    only: Literal["all", "median"]
    rejected: int
    forward_passes: int
    backward_passes: int
    seconds: float

    @property
    def per_sample(self) -> Float[Tensor, " N"]:
        """The radii: every finite one belongs to a verified adversarial example."""
        return self.upper

    @property
    def epsilon50(self) -> float:
        """ε at which half of the samples are misclassified, infinite if above `epsilon_max`."""
        return median(self.upper)

    def accuracy_at(self, epsilon: float) -> float:
        """Share of samples that are correct under the attack at a strength.

        Raises:
            ValueError: if the strength is above `epsilon_max`, or lies in a bracket that `only="median"` left
                open, so that the answer is not known.
        """
        if not 0 <= epsilon <= self.epsilon_max:
            raise ValueError(f"`epsilon` should lie in [0, {self.epsilon_max}]. Found {epsilon}.")
        undecided = int(((self.lower < epsilon) & (epsilon < self.upper)).sum())
        if self.only == "median" and undecided:
            raise ValueError(
                f"The accuracy at {epsilon} is not known: {undecided} radii were only bracketed. "
                'Search with only="all".'
            )
        return float((self.upper > epsilon).double().mean())


def median(values: Float[Tensor, " N"]) -> float:
    """The median, between the two middle values where their number is even."""
    ranked = values.sort().values
    below, above = ranked[(len(ranked) - 1) // 2], ranked[len(ranked) // 2]
    return float(above) if below == above else float((below + above) / 2)


def critical_radii(
    classifier: nn.Module,
    batches: Iterable[Any],
    attack: Attack,
    *,
    norm: Norm | None = "Linf",
    resolution: float = 0.01,
    curve_resolution: float | None = None,
    at: Sequence[float] = (),
    only: Literal["all", "median"] = "all",
    bounds: tuple[float, float] = (-1.0, 1.0),
    epsilon_max: float | None = None,
    guess: float | None = None,
    pilot: int = 100,
    batch_size: int = 512,
    seed: int = 0,
) -> Radii:
    """Smallest strength at which an attack succeeds, for each sample.

    Each sample carries a bracket: the largest strength seen to fail and the norm of the smallest verified
    perturbation. For `only="median"` a pilot of random samples places the first strength; then only samples
    whose bracket overlaps the bracket of the median are attacked again. An attack is taken to be monotone:
    what fails at ε would have failed below ε. The classifier is left as it was found.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        batches: of inputs and true classes, and perhaps more.
        attack: `(classifier, x, y, strength, *, norm, bounds, generator) → x_adv`, for example
            `functools.partial(pgd, leave_when_fooled=True)`.
        norm: in which strength is measured, passed on to the attack; None where strength is no distance, as for
            the spatial attack, whose answers are then checked for class and bounds alone.
        resolution: relative width of a closed bracket.
        curve_resolution: the same for brackets that do not decide the median; None for `resolution`.
        at: strengths at which the accuracy is wanted exactly, whatever the width of the brackets.
        only: "all" for every radius, "median" for ε50% alone, which is much cheaper.
        bounds: lowest and highest legal value of an input.
        epsilon_max: largest strength to try; None for the diameter of the legal range, or, where there is
            none, for the largest norm of an input. Must be given where strength is no distance.
        guess: where ε50% is expected, in place of a pilot.
        pilot: samples of the pilot.
        batch_size: samples per call of the attack.
        seed: of the pilot and of the attack's randomness.

    Returns:
        The radii.

    Raises:
        ValueError: if there is no sample, inputs are NaN or outside the bounds, the resolution is not in (0, 1),
            `epsilon_max` is not above 0 or missing, or a strength of `at` is above it.
    """
    if not 0 < resolution < 1:
        raise ValueError(f"`resolution` should lie in (0, 1). Found {resolution}.")
    started = time.perf_counter()
    with torch.inference_mode(False):
        search = _Search(classifier, batches, attack, norm, bounds, epsilon_max, batch_size, seed)
        if only == "all":
            search.close_all(torch.arange(len(search.y)), max(resolution, curve_resolution or 0))
        search.close_median(resolution, search.upper if only == "all" else search.pilot(pilot, guess))
        for strength in at:
            search.decide(strength)
    return search.radii(resolution, only, started)


def minimal_radii(
    classifier: nn.Module,
    batches: Iterable[Any],
    attack: MinimumNormAttack,
    *,
    norm: Norm = "L2",
    bounds: tuple[float, float] = (-1.0, 1.0),
    batch_size: int = 512,
    seed: int = 0,
) -> Radii:
    """Distance of the answers of an attack that looks for the nearest adversarial example itself.

    Each sample that is classified correctly is attacked once. The classifier is left as it was found.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        batches: of inputs and true classes, and perhaps more.
        attack: `(classifier, x, y, *, norm, bounds, generator) → x_adv`.
        norm: in which the distance is measured, passed on to the attack.
        bounds: lowest and highest legal value of an input.
        batch_size: samples per call of the attack.
        seed: of the attack's randomness.

    Returns:
        The radii; the brackets are closed, since the attack would have answered the same at any strength.

    Raises:
        ValueError: if there is no sample, or inputs are NaN or outside the bounds.
    """
    started = time.perf_counter()
    with torch.inference_mode(False):
        search = _Search(classifier, batches, attack, norm, bounds, None, batch_size, seed)
        search.run_once()
    return search.radii(0.0, "all", started)


def gathered(batches: Iterable[Any], bounds: tuple[float, float]) -> tuple[Tensor, Int[Tensor, " N"]]:
    """Inputs of all batches, `(N, *shape)`, and on the CPU their true classes.

    Raises:
        ValueError: if there is no sample, or inputs are NaN or outside the bounds.
    """
    pairs = [(batch[0], batch[1]) for batch in batches]
    if not sum(len(y) for _, y in pairs):
        raise ValueError("`batches` should hold at least one sample. Found none.")
    x, y = torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs]).cpu()
    check_inputs(x, bounds)
    return x, y


class _Search:
    """The brackets of all samples, and the two ways of closing them."""

    def __init__(
        self,
        classifier: nn.Module,
        batches: Iterable[Any],
        attack: Attack,
        norm: Norm | None,
        bounds: tuple[float, float],
        epsilon_max: float | None,
        batch_size: int,
        seed: int,
    ) -> None:
        self.classifier = CountPasses(classifier)
        self.attack, self.norm, self.bounds, self.batch_size = attack, norm, bounds, batch_size
        self.x, self.y = gathered(batches, bounds)
        self.device = next((p.device for p in classifier.parameters()), self.x.device)
        if epsilon_max is None:
            if norm is None:
                raise ValueError("`epsilon_max` should be given where strength is no distance. Found None.")
            epsilon_max = largest_strength(self.x, norm, bounds)
        self.epsilon_max = epsilon_max
        if not self.epsilon_max > 0:
            raise ValueError(f"`epsilon_max` should be above 0. Found {self.epsilon_max}.")
        self.generator = generator_for(seed, "attack", device=self.device)
        self.seed, self.rejected = seed, 0
        count = len(self.y)
        self.lower = torch.zeros(count, dtype=torch.float64)
        self.upper = torch.full((count,), torch.inf, dtype=torch.float64)
        for part in torch.arange(count).split(batch_size):
            wrong = predictions(self.classifier, self.x[part].to(self.device)).cpu() != self.y[part]
            self.upper[part[wrong]] = 0

    def try_at(self, which: Int[Tensor, " K"], strength: Float[Tensor, " K"]) -> None:
        """Attack some samples, each at its strength, and move their brackets."""
        for part, at in zip(which.split(self.batch_size), strength.split(self.batch_size), strict=True):
            fooled, size = self._judged(part, at, at.to(self.device, self.x.dtype))
            found = torch.where(fooled, torch.minimum(size, at), torch.inf)
            self.upper[part] = torch.minimum(self.upper[part], found)
            self.lower[part] = torch.where(fooled, self.lower[part], at)

    def run_once(self) -> None:
        """Attack every sample that is classified correctly once, without a strength."""
        for part in self.upper.isinf().nonzero().squeeze(1).split(self.batch_size):
            fooled, size = self._judged(part, torch.full((len(part),), torch.inf, dtype=torch.float64))
            self.upper[part] = torch.where(fooled, size, torch.inf)
        self.lower = self.upper.clamp(max=self.epsilon_max)

    def _judged(
        self, part: Int[Tensor, " K"], limit: Float[Tensor, " K"], *strength: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Which samples the attack fooled within the rules, and the size of its perturbations."""
        x, y = self.x[part].to(self.device), self.y[part].to(self.device)
        answer = self.attack(
            self.classifier, x, y, *strength, norm=self.norm, bounds=self.bounds, generator=self.generator
        )
        fooled, size, rejected = verdict(
            self.classifier, x, y, answer, limit.to(self.device), norm=self.norm, bounds=self.bounds
        )
        self.rejected += int(rejected.sum())
        return fooled.cpu(), size.cpu()

    def decide(self, strength: float) -> None:
        """Attack at a strength whoever might be fooled at it or not."""
        if not 0 <= strength <= self.epsilon_max:
            raise ValueError(f"`at` should lie in [0, {self.epsilon_max}]. Found {strength}.")
        which = ((self.lower < strength) & (strength < self.upper)).nonzero().squeeze(1)
        self.try_at(which, torch.full((len(which),), strength, dtype=torch.float64))

    def radii(self, resolution: float, only: Literal["all", "median"], started: float) -> Radii:
        """What was found, and what it took."""
        return Radii(
            lower=self.lower,
            upper=self.upper,
            epsilon_max=self.epsilon_max,
            resolution=resolution,
            only=only,
            rejected=self.rejected,
            forward_passes=self.classifier.forward_passes,
            backward_passes=self.classifier.backward_passes,
            seconds=time.perf_counter() - started,
        )

    def open(self, which: Int[Tensor, " K"], resolution: float) -> Int[Tensor, " K2"]:
        """Those of the samples whose bracket is still wider than the resolution."""
        return which[_is_open(self.lower[which], self.upper[which], resolution, self.epsilon_max)]

    def close_all(self, which: Int[Tensor, " K"], resolution: float) -> None:
        """Close brackets one by one: gallop away from the first guess until it is bracketed, then bisect."""
        pace = torch.full((len(self.y),), 1.1, dtype=torch.float64)
        which = self.open(which, resolution)
        strength = 1.05 * self._first_order(which)
        while len(which):
            self.try_at(which, strength.clamp(max=self.epsilon_max))
            which = self.open(which, resolution)
            low, high = self.lower[which], self.upper[which]
            bracketed = (low > 0) & high.isfinite()
            galloped = torch.where(high.isfinite(), high / pace[which], low * pace[which])
            pace[which] = pace[which].square()
            strength = torch.where(bracketed, (low + high) / 2, galloped)

    def pilot(self, size: int, guess: float | None) -> Float[Tensor, " P"]:
        """Radii that say roughly where all radii lie."""
        if guess is not None:
            return torch.tensor([guess], dtype=torch.float64)
        drawn = torch.randperm(len(self.y), generator=generator_for(self.seed, "pilot"))[:size]
        self.close_all(drawn, 0.05)
        return self.upper[drawn]

    def close_median(self, resolution: float, expected: Float[Tensor, " P"]) -> None:
        """Close the brackets that decide the median, and no others."""
        count = len(self.y)
        guess = _Guess(expected, self.epsilon_max, 1 + 3 * resolution)
        for rank in {(count - 1) // 2, count // 2}:
            strength = guess.quantile((rank + 0.5) / count)
            while True:
                low, high = self._bracket(rank)
                if not _is_open(low, high, resolution, self.epsilon_max):
                    break
                if low > 0 and high < torch.inf:
                    strength = float(low + high) / 2
                elif not low < strength < high:
                    surplus = float((self.upper <= strength).double().mean()) - (rank + 0.5) / count
                    strength = guess.beyond(strength, surplus)
                relevant = ((self.lower < high) & (self.upper > low)).nonzero().squeeze(1)
                relevant = relevant[(self.lower[relevant] < strength) & (strength < self.upper[relevant])]
                self.try_at(relevant, torch.full((len(relevant),), strength, dtype=torch.float64))

    def _bracket(self, rank: int) -> tuple[Tensor, Tensor]:
        """Bounds of the radius that has this rank: order statistics of the brackets' ends."""
        return self.lower.sort().values[rank], self.upper.sort().values[rank]

    def _first_order(self, which: Int[Tensor, " K"]) -> Float[Tensor, " K"]:
        """Radii as they would be if the classifier were linear; where that says nothing, an eighth of the range."""
        start = torch.full((len(which),), self.epsilon_max / 8, dtype=torch.float64)
        if self.norm is None:
            return start
        for rows in torch.arange(len(which)).split(self.batch_size):
            x, y = self.x[which[rows]].to(self.device), self.y[which[rows]].to(self.device)
            guess = first_order_radii(self.classifier, x, y, self.norm).double().cpu()
            usable = guess.isfinite() & (guess > SMALLEST * self.epsilon_max)
            start[rows] = torch.where(usable, guess, start[rows])
        return start.clamp(max=self.epsilon_max)


class _Guess:
    """Where the pilot says that a rank lies; only the cost of a search depends on it, never the answer."""

    def __init__(self, radii: Float[Tensor, " P"], epsilon_max: float, pace: float) -> None:
        self.ranked = radii.clamp(max=epsilon_max).sort().values
        self.epsilon_max, self.pace = epsilon_max, pace

    def quantile(self, share: float) -> float:
        value = float(torch.quantile(self.ranked, min(max(share, 0.0), 1.0)))
        return value if value > 0 else self.epsilon_max / 8

    def beyond(self, strength: float, surplus: float) -> float:
        """A strength on the other side of the rank, when `surplus` too many were fooled at this one."""
        share = float((self.ranked <= strength).double().mean()) - surplus
        pace, self.pace = self.pace, self.pace**2
        if surplus > 0:
            return min(self.quantile(share - 0.03), strength / pace)
        return min(max(self.quantile(share + 0.03), strength * pace), self.epsilon_max)


def _is_open(low: Tensor, high: Tensor, resolution: float, epsilon_max: float) -> Tensor:
    never = low >= epsilon_max
    close = high.isfinite() & (high - low <= resolution * high)
    return ~(never | close | (high <= SMALLEST * epsilon_max))


def largest_strength(x: Float[Tensor, "B *shape"], norm: Norm, bounds: tuple[float, float]) -> float:
    """The diameter of the legal range, or, where there is none, the largest norm of an input."""
    width = bounds[1] - bounds[0]
    if math.isfinite(width):
        return width * x[0].numel() ** (1 / ORDER[norm])
    flat = x.double().flatten(1)
    return float(torch.linalg.vector_norm(flat, ord=ORDER[norm], dim=1).max())

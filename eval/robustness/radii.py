"""From an attack with a budget to a critical radius per sample: what robustness means in this house.

The radius of a sample is the smallest strength at which the attack succeeds: 0 if the sample is misclassified
already, infinite if the attack never succeeds. ε50% is the median (paper 1, section 3.3), the accuracy-against-ε
curve is the fraction of radii above ε.
"""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from alignment.contracts import check_choice, check_counts, check_number
from eval.attacks.options import GIVEN, check_call
from eval.attacks.protocols import Attack, MinimumNormAttack
from eval.robustness.batching import BatchSize
from eval.robustness.curve_search import close_all
from eval.robustness.interval_ends import close_ends
from eval.robustness.judge import Judge
from eval.robustness.keeping import Kept
from eval.robustness.median import median, median_interval
from eval.robustness.median_search import close_median
from eval.robustness.samples import largest_strength
from eval.robustness.search import Search
from eval.robustness.settling import count_settled
from generators.progress import Stage, stage
from training.attacks import Distance, Norm

__all__ = ["Attack", "MinimumNormAttack", "Radii", "critical_radii", "median", "median_interval", "minimal_radii"]


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
        rejected: outputs of the attack that broke its own rules and did not count.
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

    @property
    def attacked(self) -> Bool[Tensor, " N"]:
        """Which samples were attacked. Of those whose radius is infinite, the others were merely not tried."""
        return (self.lower > 0) | ((self.upper > 0) & self.upper.isfinite())

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Confidence interval of ε50%, from brackets that may be open, see `median_interval`."""
        return median_interval(self.lower, self.upper, level)

    def accuracy_at(self, epsilon: float) -> float:
        """Share of samples that are correct under the attack at a strength.

        Raises:
            ValueError: if the strength is above `epsilon_max`, or lies in a bracket that `only="median"` left
                open, so that it is not known.
        """
        demand = f"lie in [0, {self.epsilon_max}]"
        check_number(epsilon, "epsilon", demand, lambda value: 0 <= value <= self.epsilon_max)
        undecided = int(((self.lower < epsilon) & (epsilon < self.upper)).sum())
        if self.only == "median" and undecided:
            raise ValueError(
                f"The accuracy at {epsilon} is not known: {undecided} radii were only bracketed. "
                'Search with only="all".'
            )
        return float((self.upper > epsilon).double().mean())


def critical_radii(
    classifier: nn.Module,
    batches: Iterable[Any],
    attack: Attack,
    *,
    bounds: tuple[float, float],
    norm: Norm | None = "Linf",
    resolution: float = 0.01,
    curve_resolution: float | None = None,
    at: Sequence[float] = (),
    only: Literal["all", "median"] = "all",
    interval: bool = False,
    epsilon_max: float | None = None,
    guess: float | None = None,
    pilot: int = 100,
    batch_size: BatchSize = "auto",
    seed: int = 0,
    keep: Kept | None = None,
) -> Radii:
    """Smallest strength at which an attack succeeds, for each sample.

    Each sample carries a bracket: the largest strength seen to fail and the norm of the smallest verified
    perturbation. A few gradients per sample predict the radii (where strength is no distance or there is no gradient,
    the clean margin does), a pilot scales the predictions, and what the attack leaves of the margin corrects them.
    They choose strengths and nothing else: each end of a bracket is a failure of the attack, or a verified
    perturbation that the attack itself returned, not shortened afterwards, so that ε50% is that of the attack and of
    no stronger one. For `only="median"` most samples are attacked once, the half above it at no less than its lower
    bound, and again only where that can still change its bracket: with PGD of 40 steps on small CNNs for 31 to 41
    gradient evaluations per sample in all, of which 20 are the failures of that half and cannot be saved. An attack
    is taken to be monotone: what fails at ε would have failed below ε. The classifier is left as it was found: what
    the attack did to its modes, gradients and hooks is put right with a warning.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        batches: of inputs and true classes, and perhaps more; inputs of `eval.robustness.samples.ReadAgain` are read
            for each attack anew and never held.
        attack: `(classifier, x, y, strength, *, norm, bounds, generator) → x_adv`, for example
            `functools.partial(pgd, leave_when_fooled=True)`.
        bounds: lowest and highest legal value of an input.
        norm: in which strength is measured, passed on to the attack; None where strength is no distance, as for
            the spatial attack, whose outputs are then checked for class and bounds alone.
        resolution: relative width of a closed bracket.
        curve_resolution: the same for brackets that do not decide the median; None for `resolution`.
        at: strengths at which the accuracy is wanted exactly, whatever the width of the brackets.
        only: "all" for every radius, "median" for ε50% alone, which is much cheaper.
        interval: look for the ends of the interval of ε50% too, for one to two evaluations per sample; of
            `only="median"`, `Radii.interval` is else from 0 or to infinity.
        epsilon_max: largest strength to try; None for the diameter of the legal range, or, where there is
            none, for the largest norm of an input. Must be given where strength is no distance.
        guess: where ε50% is expected, in place of a pilot.
        pilot: samples of the pilot, at most; of few samples a smaller one is taken.
        batch_size: samples per call of the attack, see `eval.robustness.batching.Batching`.
        seed: of the attack's randomness.
        keep: takes the smallest adversarial example of each sample.

    Returns:
        The radii.

    Raises:
        ValueError: if there is no sample, inputs or labels are refused by `alignment.contracts`, a choice does not
            exist, a resolution is not in (0, 1), `epsilon_max` is not above 0 or missing, a strength of `at` is above
            it, options bound to the attack contradict the search, or the attack wrote to the classifier's weights.
    """
    check_choice(norm, (*get_args(Norm), None), "norm")
    check_choice(only, ("all", "median"), "only")
    check_counts(1, pilot=pilot)
    _check_resolutions(resolution, curve_resolution, guess)
    check_call(attack, *GIVEN, norm=norm, bounds=bounds)
    started = time.perf_counter()
    with torch.inference_mode(False):
        judge = Judge(classifier, batches, norm, bounds, batch_size, keep)
        search = Search(judge, attack, _ceiling(judge, epsilon_max), seed)
        _check_strengths(at, search.epsilon_max)
        curve = max(resolution, curve_resolution or 0) if only == "all" else None
        with stage(Stage(unit="sample", total=len(judge.samples))) as looked_at:
            search.told = count_settled(search, looked_at, resolution, curve, at)
            if curve is not None:
                close_all(search, curve, pilot)
            close_median(search, resolution, pilot, guess)
            if interval:
                close_ends(search)
            for strength in at:
                search.decide(strength)
        judge.end(attack)
    return _radii(search, resolution, only, started)


def minimal_radii(
    classifier: nn.Module,
    batches: Iterable[Any],
    attack: MinimumNormAttack,
    *,
    bounds: tuple[float, float],
    norm: Distance = "L2",
    batch_size: BatchSize = "auto",
    seed: int = 0,
    keep: Kept | None = None,
) -> Radii:
    """Distance of what an attack returns that looks for the nearest adversarial example itself.

    Each sample that is classified correctly is attacked once. The classifier is left as it was found.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        batches: of inputs and true classes, and perhaps more.
        attack: `(classifier, x, y, *, norm, bounds, generator) → x_adv`.
        bounds: lowest and highest legal value of an input.
        norm: in which the distance is measured, passed on to the attack.
        batch_size: samples per call of the attack, see `eval.robustness.batching.Batching`.
        seed: of the attack's randomness.
        keep: takes the smallest adversarial example of each sample.

    Returns:
        The radii; the brackets are closed, since the attack would have returned the same at any strength.

    Raises:
        ValueError: if there is no sample, inputs or labels are refused by `alignment.contracts`, there is no such
            norm, options bound to the attack contradict the search, or the attack wrote to the classifier's weights.
    """
    check_choice(norm, get_args(Distance), "norm")
    check_call(attack, *GIVEN[:3], norm=norm, bounds=bounds)
    started = time.perf_counter()
    with torch.inference_mode(False):
        judge = Judge(classifier, batches, norm, bounds, batch_size, keep)
        search = Search(judge, attack, _ceiling(judge, None), seed)
        search.run_once()
        judge.end(attack)
    return _radii(search, 0.0, "all", started)


def _check_resolutions(resolution: float, curve_resolution: float | None, guess: float | None) -> None:
    for value, name in ((resolution, "resolution"), (curve_resolution, "curve_resolution")):
        if value is not None or name == "resolution":
            check_number(value, name, "lie in (0, 1)", lambda width: 0 < width < 1)
    if guess is not None:
        check_number(guess, "guess", "be above 0 and finite", lambda strength: 0 < strength < math.inf)


def _check_strengths(at: Sequence[float], epsilon_max: float) -> None:
    if not isinstance(at, Iterable):
        raise ValueError(f"`at` should be a list of strengths. Found {at!r}.")
    for strength in at:
        check_number(strength, "at", f"lie in [0, {epsilon_max}]", lambda value: 0 <= value <= epsilon_max)


def _ceiling(judge: Judge, epsilon_max: float | None) -> float:
    """The largest strength to try."""
    if epsilon_max is None:
        if judge.norm is None:
            raise ValueError("`epsilon_max` should be given where strength is no distance. Found None.")
        epsilon_max = largest_strength(judge.samples, judge.norm, judge.bounds)
    check_number(epsilon_max, "epsilon_max", "be above 0 and finite", lambda strength: 0 < strength < math.inf)
    return epsilon_max


def _radii(search: Search, resolution: float, only: Literal["all", "median"], started: float) -> Radii:
    """What was found, and what it took."""
    return Radii(
        lower=search.lower.cpu(),
        upper=search.upper.cpu(),
        epsilon_max=search.epsilon_max,
        resolution=resolution,
        only=only,
        rejected=search.judge.rejected,
        forward_passes=search.judge.classifier.forward_passes,
        backward_passes=search.judge.classifier.backward_passes,
        seconds=time.perf_counter() - started,
    )

"""ε50% and τ50% under an attack, as measurements."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from typing import Any

from alignment.contracts import check_choice
from eval.attacks import ATTACKS, SuiteAttack
from eval.attacks.own import check_attack_name
from eval.records.chosen import at_rest
from eval.records.identity import plain
from eval.records.outcome import Outcome, outcomes_of
from eval.records.quantity import Quantity
from eval.robustness.keeping import Kept
from eval.robustness.radii import critical_radii, minimal_radii
from generators.progress import Stage, stage
from training.attacks import ORDER, Distance
from training.balls import largest_distance
from training.data import Batch, DataSet
from training.passes import CountPasses
from training.strength import Strength

SMALLEST_TAU = 0.05
"""Where the search for τ50% ends; the smallest τ of the paper's grids."""


@dataclass(frozen=True)
class AttackRadii:
    """ε50% under an attack: the median over samples of the smallest strength at which it succeeds.

    Under STA, whose strength is 1/τ, it is τ50% (paper 1, section 3.3).

    Args:
        attack: by its name in `eval.attacks.ATTACKS`, or `package.module:attack` for one of yours.
        norm: of the ball; None for STA.
        options: what the attack itself takes. A `step_size` is η for Linf, and η·n^(1/p) in Lp, as in paper 1.
        resolution: relative width to which ε50% is closed.
        curve_resolution: relative width to which the other radii, and with them the curve, are closed; None for
            not at all, when ε50% alone is wanted, which is much cheaper.
        epsilons: strengths at which the accuracy is wanted exactly.
        seed: of the attack's randomness.
        keep: takes the smallest adversarial example of each sample; no part of what is measured.

    Raises:
        ValueError: if there is no such attack, or it does not know the norm.
    """

    attack: str = "pgd"
    norm: Distance | None = "Linf"
    options: Mapping[str, Any] = field(default_factory=dict)
    resolution: float = 0.01
    curve_resolution: float | None = 0.05
    epsilons: tuple[Strength, ...] = ()
    seed: int = 0
    keep: Kept | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_attack_name(self.attack, "attack")
        check_choice(self.norm, self.entry.norms or (None,), f"norm of {self.attack}")

    @property
    def entry(self) -> SuiteAttack:
        """The attack."""
        return ATTACKS[self.attack]

    @property
    def _ball(self) -> Any:
        """The norm, for a search, which itself refuses what has no ball."""
        return self.norm

    def check(self, data: DataSet) -> None:
        """Refuse what the attack cannot do on a data set, before it is asked to.

        Raises:
            ValueError: for options, a norm, or data that the attack does not know, and strengths above the largest
                that can be tried.
        """
        check_attack(self.attack, self.norm, self.options, self.epsilons, data)

    def quantity(self, data: DataSet) -> Quantity:
        """ε50% or τ50% under this attack with all its options, those included that nobody named."""
        search = {"resolution": self.resolution, "curve_resolution": self.curve_resolution, "seed": self.seed}
        if self.entry.minimal:
            del search["resolution"], search["curve_resolution"]
        options = self.entry.effective(defaults(self.entry.attack) | dict(self.options), data.num_classes)
        settings = options | search | {"epsilons": [float(epsilon) for epsilon in self.epsilons]}
        return Quantity("epsilon50" if self.norm else "tau50", self.attack, self.norm or "", plain(settings))

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """ε50% or τ50%; per sample the radius (1/τ under STA) and the largest strength seen to fail."""
        attack, samples = bound(self.attack, self.norm, self.options, data), at_rest(batches)
        mixed = self.entry.mixed_strengths and self.curve_resolution is not None
        if self.entry.minimal:
            assert self.norm is not None  # only STA has none
            radii = minimal_radii(
                classifier, samples, attack, norm=self.norm, bounds=data.bounds, seed=self.seed, keep=self.keep
            )
        else:
            guess = self._guess(classifier, data, samples)
            radii = critical_radii(
                classifier,
                samples,
                attack,
                norm=self._ball,
                resolution=self.resolution,
                curve_resolution=self.curve_resolution,
                at=[*map(float, self.epsilons), *self._shared(guess)],
                only="all" if mixed else "median",
                interval=not mixed,
                bounds=data.bounds,
                epsilon_max=1 / SMALLEST_TAU if self.norm is None else None,
                guess=guess,
                seed=self.seed,
                keep=self.keep,
            )
        frame = outcomes_of(batches, radius=radii.upper, failed_at=radii.lower)
        accuracies = {str(epsilon): radii.accuracy_at(float(epsilon)) for epsilon in self.epsilons}
        details = {"epsilon_max": radii.epsilon_max, "accuracy_at": accuracies}
        low, high = radii.interval()
        value, low, high = (radii.epsilon50, low, high) if self.norm else map(_inverse, (radii.epsilon50, high, low))
        return Outcome(value, frame, (low, high), radii.rejected, details)

    def _shared(self, guess: float | None) -> list[float]:
        """Strengths at which all samples are attacked at once, around ε50%, for the curve of a slow attack."""
        if self.entry.mixed_strengths or self.curve_resolution is None or guess is None:
            return []
        return [share * guess for share in (0.7, 1.4)]

    def _guess(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> float | None:
        """ε50% under the attack's scout, if it has one, because failures of the attack itself are costly."""
        if self.entry.first_guess is None:
            return None
        with stage(Stage("where to begin")):
            radii = critical_radii(
                classifier,
                batches,
                self.entry.first_guess,
                norm=self._ball,
                resolution=0.05,
                only="median",
                bounds=data.bounds,
                pilot=32,
                seed=self.seed,
            )
        return radii.epsilon50 if 0 < radii.epsilon50 < radii.epsilon_max / 1.5 else None


def bound(name: str, norm: Distance | None, options: Mapping[str, Any], data: DataSet) -> partial[Any]:
    """An attack with its options bound to it; a `step_size` is η for Linf, and η·n^(1/p) in Lp."""
    given = dict(options)
    if norm not in (None, "L0") and given.get("step_size") is not None:
        given["step_size"] = float(given["step_size"]) * math.prod(data.shape) ** (1 / ORDER[norm])
    return partial(ATTACKS[name].attack, **given)


def check_attack(
    name: str, norm: Distance | None, options: Mapping[str, Any], epsilons: Sequence[Strength], data: DataSet
) -> None:
    """Refuse what an attack cannot do on a data set.

    Raises:
        ValueError: for options, a norm, or data that the attack does not know, and strengths above the largest that
            can be tried.
    """
    given = {option: value for option, value in options.items() if value is not None}
    ATTACKS[name].check(given, norm, data.shape, data.num_classes, data.bounds)
    if norm is None or not all(map(math.isfinite, data.bounds)):
        return
    largest = largest_distance(data.bounds[1] - data.bounds[0], math.prod(data.shape), norm)
    for epsilon in epsilons:
        if epsilon > largest:
            raise ValueError(
                f"`epsilons` should lie in [0, {largest:g}], the diameter of {data.name} in {norm}. Found {epsilon}."
            )


def defaults(attack: Callable[..., Any]) -> dict[str, Any]:
    """The options of an attack that has them, with their values where nobody names others.

    Example:
        >>> from training import pgd
        >>> defaults(partial(pgd, steps=20))["steps"], "generator" in defaults(pgd)
        (20, False)
    """
    parameters = signature(attack).parameters.values()
    return {
        p.name: p.default
        for p in parameters
        if p.default is not p.empty and p.name not in ("strength", "norm", "bounds", "generator")
    }


def _inverse(strength: float) -> float:
    return math.inf if strength == 0 else 1 / strength

"""Accuracy under an attack at one ε, as a measurement: what leaderboards ask, at the cost of the attack alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from alignment.contracts import check_choice
from eval.attacks import ATTACKS
from eval.attacks.own import check_attack_name
from eval.records.attack_radii import bound, check_attack, defaults
from eval.records.chosen import at_rest
from eval.records.identity import plain
from eval.records.intervals import share_interval
from eval.records.outcome import Outcome, outcomes_of
from eval.records.quantity import Quantity
from eval.robustness.fixed_strength import robust_accuracy
from eval.robustness.keeping import Kept
from training.attacks import Distance
from training.data import Batch, DataSet
from training.passes import CountPasses
from training.strength import Strength


@dataclass(frozen=True)
class RobustAccuracyAt:
    """Share of samples that are still correct under an attack in a ball of radius ε.

    Args:
        attack: by its name in `eval.attacks.ATTACKS`, or `package.module:attack`; one whose strength is a distance.
        norm: of the ball.
        epsilon: ε in units of the inputs.
        options: what the attack itself takes, see `AttackRadii`.
        seed: of the attack's randomness.
        keep: takes the adversarial examples; no part of what is measured.

    Raises:
        ValueError: if there is no such attack, or it does not know the norm.
    """

    attack: str
    norm: Distance
    epsilon: Strength
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    keep: Kept | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_attack_name(self.attack, "attack")
        check_choice(self.norm, ATTACKS[self.attack].norms, f"norm of {self.attack}")

    def check(self, data: DataSet) -> None:
        """Refuse what the attack cannot do on a data set, see `check_attack`."""
        check_attack(self.attack, self.norm, self.options, [self.epsilon], data)

    def quantity(self, data: DataSet) -> Quantity:
        """The accuracy under this attack at ε, with all its options, those included that nobody named."""
        entry = ATTACKS[self.attack]
        settings = entry.effective(defaults(entry.attack) | dict(self.options), data.num_classes)
        settings |= {"seed": self.seed}
        return Quantity("robust_accuracy", self.attack, self.norm, plain(settings), self.epsilon.written)

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """The accuracy in [0, 1]; per sample whether it is correct, and robust, and the norm of what fooled it."""
        found = robust_accuracy(
            classifier,
            at_rest(batches),
            bound(self.attack, self.norm, self.options, data),
            float(self.epsilon),
            bounds=data.bounds,
            norm=self.norm,
            minimal=ATTACKS[self.attack].minimal,
            seed=self.seed,
            keep=self.keep,
        )
        distance = torch.where(found.robust, torch.nan, found.distance)
        frame = outcomes_of(batches, correct=found.correct, robust=found.robust, distance=distance)
        interval = share_interval(int(found.robust.sum()), len(found.robust))
        return Outcome(found.accuracy, frame, interval, found.rejected, {"epsilon": float(self.epsilon)})

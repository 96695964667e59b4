"""How much of a measurement is done: by evaluations of the classifier, and by samples that a search has settled."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from eval.attacks import ATTACKS
from eval.records.quantity import Quantity
from generators.progress import Stage

SETTLING = ("epsilon50", "tau50", "robust_accuracy")
"""Kinds of measurements that settle one sample after the other."""
RUNS = 2.2
"""How often a search runs an attack on a sample, counted in whole runs, where all radii are wanted; else once."""
EFFORT = {"fgsm": 2, "mi_fgsm": 20, "deepfool": 150, "cw": 600, "autoattack": 3000, "apgd_t": 1200, "fab": 1200}
"""Passes of one run per sample, of attacks whose options do not say it."""
OTHERS = {
    "accuracy": 1,
    "alpha_dx": 13,
    "alpha_x": 3,
    "score_alignment": 13,
    "tangent_share": 13,
    "gradients": 15,
    "masking": 1250,
    "linearity": 250,
}
OTHERS |= {"alpha_variants": 41, "alpha_dx_other": 28, "boundary": 73, "landscape": 200, "theorems": 400}
OTHERS |= {"conflict_growth": 80, "embedding": 25, "descent": 100}
"""Passes per sample of other measurements, as they were counted on small networks."""


@runtime_checkable
class Counts(Protocol):
    """What counts evaluations of a classifier."""

    forward_passes: int
    backward_passes: int


def expected_passes(quantity: Quantity) -> float:
    """Passes, forward and backward, that a measurement takes per sample, roughly; NaN where nobody knows.

    Only the time that is said to be left depends on it.

    Example:
        >>> expected_passes(Quantity("epsilon50", "pgd", "L2", {"steps": 40, "curve_resolution": 0.05}))
        176.0
        >>> expected_passes(Quantity("robust_accuracy", "square", "L2", {"queries": 5000}, "0.5"))
        5000.0
    """
    if quantity.kind not in SETTLING:
        return float(OTHERS.get(quantity.kind, math.nan))
    searched = quantity.kind != "robust_accuracy" and not _is_minimal(quantity.attack)
    wide = quantity.settings.get("curve_resolution") is not None
    return _of_one_run(quantity.attack, quantity.settings) * (RUNS if searched and wide else 1.0)


def _is_minimal(attack: str) -> bool:
    return attack in ATTACKS and ATTACKS[attack].minimal


def _of_one_run(attack: str, options: Mapping[str, Any]) -> float:
    if attack in EFFORT:
        return float(EFFORT[attack])
    if attack.startswith("spsa"):
        return 2.0 * options.get("steps", 100) * options.get("samples", 64)
    if "queries" in options and "steps" not in options:
        return float(options["queries"])
    return 2.0 * options.get("steps", options.get("iterations", 50)) * options.get("restarts", 1)


@dataclass
class Measuring(Stage):
    """A measurement that is under way.

    Attributes:
        expected: passes that it takes in all, as far as anybody knows.
        counts: its passes so far.
        settles: whether what its part counts are samples of which nothing more is to be found.
    """

    expected: float = math.nan
    counts: Counts | None = field(default=None, repr=False)
    settles: bool = False

    @property
    def passes(self) -> float:
        """Passes so far."""
        return 0.0 if self.counts is None else float(self.counts.forward_passes + self.counts.backward_passes)

    @property
    def left(self) -> float:
        """Passes that are still to be made.

        At first what was expected says it, since a search settles hardly a sample while it attacks all of them for
        the first time; later the samples that are settled do.
        """
        share = self.part.share if self.settles and self.part is not None and self.part.total else 0.0
        planned = max(self.expected - self.passes, self.passes * (1 - share) / 2)
        weight = min(max((share - 0.5) / 0.4, 0.0), 1.0)
        return planned if not weight else (1 - weight) * planned + weight * self.passes * (1 - share) / share

    @property
    def share(self) -> float:
        """How much of it is done, by passes."""
        whole = self.passes + self.left
        return self.passes / whole if whole else 0.0


@dataclass
class Measurements(Stage):
    """The measurements of one model in turn, each of which weighs as much as the passes that it takes.

    Attributes:
        expected: passes of each.
        spent: passes of those that are done, but for those that were recorded before.
    """

    unit: str = "measurement"
    expected: Sequence[float] = ()
    spent: float = 0.0

    @property
    def share(self) -> float:
        """How much of all is done, by passes; NaN where nobody knows what is to come."""
        now = self.part if isinstance(self.part, Measuring) else None
        to_come = sum(self.expected[self.done + (now is not None) :])
        made = self.spent + (now.passes if now is not None else 0.0)
        whole = made + to_come + (now.left if now is not None else 0.0)
        return made / whole if whole else 1.0

    def ended(self, part: Stage) -> None:
        """Take note of what a measurement took."""
        super().ended(part)
        if isinstance(part, Measuring):
            self.spent += part.passes
            self.done += 1

    def recorded(self) -> None:
        """Take note that one needed not be taken again."""
        self.done += 1

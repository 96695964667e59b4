"""Accuracy under an attack at one strength, at the cost of the attack alone: no search."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from alignment.contracts import check_choice, check_number
from eval.attacks.options import GIVEN, check_call
from eval.attacks.protocols import Attack, MinimumNormAttack
from eval.attacks.verdict import TOLERANCE
from eval.robustness.batching import BatchSize
from eval.robustness.draws import Draws
from eval.robustness.judge import Judge, Judged
from eval.robustness.keeping import Kept
from training.attacks import Distance, Norm


@dataclass(frozen=True)
class RobustAccuracy:
    """What withstands an attack at one strength.

    Attributes:
        correct: whether a sample is classified correctly without attack, `(N,)`.
        robust: whether it is under the attack too, `(N,)`.
        distance: ‖x_adv − x‖ of the verified adversarial example, `(N,)` float64; 0 where the sample is misclassified
            already, infinite where it is robust.
        rejected: outputs of the attack that broke its own rules and did not count.
        forward_passes: in samples.
        backward_passes: in samples.
        seconds: wall-clock time.
    """

    correct: Bool[Tensor, " N"]
    robust: Bool[Tensor, " N"]
    distance: Float[Tensor, " N"]
    rejected: int
    forward_passes: int
    backward_passes: int
    seconds: float

    @property
    def accuracy(self) -> float:
        """Share of samples that are correct under the attack."""
        return float(self.robust.double().mean())


def robust_accuracy(
    classifier: nn.Module,
    batches: Iterable[Any],
    attack: Attack | MinimumNormAttack,
    epsilon: float,
    *,
    bounds: tuple[float, float],
    norm: Distance = "Linf",
    minimal: bool = False,
    batch_size: BatchSize = "auto",
    seed: int = 0,
    keep: Kept | None = None,
) -> RobustAccuracy:
    """Share of samples that an attack at ε leaves correct: one run on those that are correct without it.

    The attack is believed in nothing: a sample counts as fooled only if what the attack returned is misclassified,
    within the ball of radius ε and within the bounds, see `eval.attacks.verdict`. The classifier is left as it was
    found.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        batches: of inputs and true classes, and perhaps more.
        attack: `(classifier, x, y, strength, *, norm, bounds, generator) → x_adv`, or without `strength`.
        epsilon: ε, in units of the inputs.
        bounds: lowest and highest legal value of an input.
        norm: of the ball, passed on to the attack.
        minimal: whether the attack looks for the nearest adversarial example itself and takes no strength.
        batch_size: samples per call of the attack, see `eval.robustness.batching.Batching`.
        seed: of the attack's randomness.
        keep: takes the adversarial examples within ε.

    Raises:
        ValueError: if there is no sample, inputs or labels are refused by `alignment.contracts`, there is no such
            norm, ε is negative or not finite, or the attack wrote to the classifier's weights.
    """
    check_choice(norm, get_args(Distance if minimal else Norm), "norm")
    check_number(epsilon, "epsilon", "be at least 0 and finite", lambda value: 0 <= value < torch.inf)
    check_call(attack, *(GIVEN[:3] if minimal else GIVEN), norm=norm, bounds=bounds)
    started = time.perf_counter()
    with torch.inference_mode(False):
        judge = Judge(classifier, batches, norm, bounds, batch_size, keep)
        found = torch.where(judge.correct, torch.inf, 0.0).double()
        draws = Draws(seed, "attack", device=judge.device)

        def attacked(part: Tensor) -> Judged:
            strength = None if minimal else torch.full((len(part),), float(epsilon), dtype=torch.float64)
            judged = judge.judged(attack, part, strength, draws)
            # What takes no strength may go beyond ε, and is then neither counted nor kept.
            return judge.sent(judged._replace(fooled=judged.fooled & (judged.size <= epsilon * (1 + TOLERANCE))))

        for part, (fooled, size, _) in judge.each_once(attacked, draws):
            found[part] = torch.where(fooled, size, torch.inf)
        judge.end(attack)
    return RobustAccuracy(
        correct=judge.correct,
        robust=found.isinf(),
        distance=found,
        rejected=judge.rejected,
        forward_passes=judge.classifier.forward_passes,
        backward_passes=judge.classifier.backward_passes,
        seconds=time.perf_counter() - started,
    )

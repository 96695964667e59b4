"""Signs of gradient masking: reasons not to trust that a classifier is as robust as attacks by gradient say.

Athalye et al. 2018, https://arxiv.org/abs/1802.00420, section 3.1; Carlini et al. 2019,
https://arxiv.org/abs/1902.06705, sections 4 and 5; paper 1, section A.8.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, get_args

import torch
from torch import Tensor, nn

from alignment.contracts import check_choice, check_classifier, check_counts, check_number
from eval.attacks.options import GIVEN, check_call
from eval.attacks.protocols import Attack
from eval.attacks.square import square_attack
from eval.robustness.batching import Batching, BatchSize, check_batch_size
from eval.robustness.first_order import has_gradient
from eval.robustness.guided import guided_pgd
from eval.robustness.judge import Judge
from eval.robustness.radii import Radii, critical_radii
from eval.robustness.samples import pairs
from eval.robustness.signs import (
    Sign,
    accuracy_rises,
    black_box_is_stronger,
    correct_at_a_huge_epsilon,
    more_effort_gains,
    no_gradient,
    outputs_differ,
    single_step_is_stronger,
    softmax_as_logits,
)
from eval.robustness.suspect import Suspect
from training.attacks import Norm, check_inputs

__all__ = ["MaskingVerdict", "Sign", "masking_signs", "masking_verdict", "summary"]

SQUARE: Attack = partial(square_attack, queries=1000)
"""The black box unless another is given; it knows L∞ and L2."""

LADDER = (0.25, 0.5, 1, 2, 4)
"""The multiples of ε at which the accuracy is looked at."""


def masking_signs(
    classifier: nn.Module,
    batches: Iterable[Any],
    *,
    epsilon: float,
    bounds: tuple[float, float],
    norm: Norm = "Linf",
    steps: int = 40,
    black_box: Attack = SQUARE,
    batch_size: BatchSize = "auto",
    seed: int = 0,
) -> list[Sign]:
    """Look for eight signs of gradient masking around a strength.

    Every output of every attack is verified, and a sample counts as fooled once any iterate is. Three attacks by
    gradient build on each other, each attacking what the one before has left: PGD as it stands, from one start with
    the default loss; PGD with the margin and with cross-entropy, from two starts each; the same with twice the steps.
    The signs, percentages being of all samples:

    1. A black box is stronger: samples that it fools at ε and all three attacks by gradient do not, nor does PGD at
       1.05 ε that aims at the class the black box found (Gowal et al. 2019) from five starts.
    2. Correct at a huge ε, the diameter of the bounds or, where there is none, the largest norm of an input: what PGD
       leaves that starts from x itself, since a random start so far away is hardly ever in x's class.
    3. Accuracy rises with ε: the largest rise between any two of ¼, ½, 1, 2 and 4 ε, under PGD as it stands.
    4. A single step is stronger: what FGSM fools less what the first two attacks by gradient do.
    5. More effort still gains: what the third attack by gradient adds to the first two.
    6. No gradient: correct samples at which the gradient of the margin or that of the cross-entropy is zero (below
       the smallest normal number), not finite, or not there at all; whichever loss has more of them.
    7. Outputs differ: two evaluations of the same inputs, by the largest difference relative to the largest logit.
    8. Softmax as logits: outputs that are not negative and sum to 1.

    Around ε50% of plain and PGD-trained networks it takes about 350 forward and backward passes per sample, four
    times as many as ε50% itself, and half as many forward passes as the black box has queries; at a smaller ε, more.
    The classifier is left as it was found.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        batches: of inputs and true classes, and perhaps more.
        epsilon: strength in the data's own units at which robustness is claimed, for example ε50% under PGD.
        bounds: lowest and highest legal value of an input.
        norm: of the ball.
        steps: gradient steps of PGD.
        black_box: `(classifier, x, y, strength, *, norm, bounds, generator) → x_adv`.
        batch_size: samples per call of an attack, see `eval.robustness.batching.Batching`.
        seed: of all randomness.

    Returns:
        The eight signs, caught or not, in the order above.

    Raises:
        ValueError: if epsilon is not above 0 and finite, `steps` is below 1, there is no sample, none is classified
            correctly, labels are out of range, inputs are NaN or outside the bounds, or logits are not finite.
    """
    check_choice(norm, get_args(Norm), "norm")
    check_counts(1, steps=steps)
    check_call(black_box, *GIVEN, norm=norm, bounds=bounds)
    check_number(epsilon, "epsilon", "be above 0 and finite", lambda value: 0 < value < math.inf)
    with torch.inference_mode(False):
        judge = Judge(classifier, batches, norm, bounds, batch_size)
        found = _signs(Suspect(judge, norm, seed), epsilon, steps, black_box)
        judge.end(black_box)
    return found


def _signs(suspect: Suspect, epsilon: float, steps: int, black_box: Attack) -> list[Sign]:
    output = [no_gradient(suspect), outputs_differ(suspect), softmax_as_logits(suspect)]
    ladder = {times: suspect.by_gradient(times * epsilon, suspect.correct, steps=steps) for times in LADDER}
    once = suspect.by_more_effort(epsilon, ladder[1], steps)
    twice = suspect.by_more_effort(epsilon, once, 2 * steps)
    return [
        black_box_is_stronger(suspect, epsilon, steps, black_box, twice),
        correct_at_a_huge_epsilon(suspect, steps),
        accuracy_rises(suspect, steps, list(ladder.values())),
        single_step_is_stronger(suspect, epsilon, steps, once),
        more_effort_gains(suspect, epsilon, once, twice),
        *output,
    ]


class MaskingVerdict(NamedTuple):
    """The signs of gradient masking at a strength that was searched for.

    Attributes:
        epsilon: at which they were looked for; NaN where no sample is classified correctly.
        signs: caught or not; none where no sample is classified correctly.
    """

    epsilon: float
    signs: list[Sign]


def masking_verdict(
    classifier: nn.Module,
    batches: Iterable[Any],
    *,
    bounds: tuple[float, float],
    norm: Norm = "Linf",
    steps: int = 40,
    limit: int | None = None,
    black_box: Attack = SQUARE,
    batch_size: BatchSize = "auto",
    seed: int = 0,
) -> MaskingVerdict:
    """Look for signs of gradient masking at ε50% under PGD, or, where there is no gradient, under a black box.

    Where less or more than half of the samples are wrong at any strength, an eighth of the largest one is taken.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`; left as it was found.
        batches: of inputs and true classes, and perhaps more.
        bounds: lowest and highest legal value of an input.
        norm: of the ball.
        steps: gradient steps of PGD.
        limit: only that many samples, the first ones; None for all.
        black_box: see `masking_signs`.
        batch_size: samples per call of an attack, see `eval.robustness.batching.Batching`.
        seed: of all randomness.

    Returns:
        The strength, and the signs as `masking_signs` returns them.

    Raises:
        ValueError: if `limit` is below 1, and as `critical_radii` and `masking_signs`, but not where no sample is
            classified correctly.
    """
    check_classifier(classifier)
    check_choice(norm, get_args(Norm), "norm")
    check_counts(1, steps=steps)
    check_batch_size(batch_size)
    check_call(black_box, *GIVEN, norm=norm, bounds=bounds)
    if limit is not None:
        check_counts(1, limit=limit)
    few = list(_first(batches, limit))
    options: dict[str, Any] = {"bounds": bounds, "norm": norm, "batch_size": batch_size, "seed": seed}
    radii = _radii(classifier, few, steps, black_box, options)
    if not radii.upper.any():
        return MaskingVerdict(math.nan, [])
    epsilon = radii.epsilon50 if 0 < radii.epsilon50 < math.inf else radii.epsilon_max / 8
    found = masking_signs(classifier, few, epsilon=epsilon, steps=steps, black_box=black_box, **options)
    return MaskingVerdict(epsilon, found)


def _first(batches: Iterable[Any], limit: int | None) -> Iterator[tuple[Tensor, Tensor]]:
    """The first samples of some batches."""
    left = math.inf if limit is None else limit
    for x, y in pairs(batches):
        if left <= 0:
            return
        # What fits is not cut, so that labels of another number than inputs are noticed.
        yield (x, y) if len(x) <= left else (x[: int(left)], y[: int(left)])
        left -= len(x)


def _radii(
    classifier: nn.Module, few: list[tuple[Tensor, Tensor]], steps: int, black_box: Attack, options: dict[str, Any]
) -> Radii:
    """Coarse ε50% under an attack that can work."""
    guided = partial(guided_pgd, steps=steps, leave_when_fooled=True)
    attack = guided if _has_gradient(classifier, few, options) else black_box
    return critical_radii(classifier, few, attack, resolution=0.05, only="median", **options)


def _has_gradient(classifier: nn.Module, few: list[tuple[Tensor, Tensor]], options: dict[str, Any]) -> bool:
    """Whether there is a gradient at the first inputs; True where there is none to look at."""
    batching = Batching(options["batch_size"])
    for x, _ in few:
        check_inputs(x, options["bounds"])
        if len(x):
            first = x[: batching.size].to(next((p.device for p in classifier.parameters()), x.device))
            rows = torch.arange(len(first), device=first.device)
            return any(batching.over(rows, partial(_has_gradient_at, classifier, first)))
    return True


def _has_gradient_at(classifier: nn.Module, x: Tensor, rows: Tensor) -> bool:
    return has_gradient(classifier, x[rows])


def summary(signs: Sequence[Sign]) -> str:
    """One paragraph: the sentences of the signs that were caught, or that there is none.

    Example:
        >>> sentence = "20.0 % of 100 samples are still correct at a huge ε = 2, more than 0 %: …"
        >>> summary([Sign("correct at a huge ε", 20.0, 0.0, True, 100, sentence)])
        '1 of 1 signs of gradient masking: 20.0 % of 100 samples are still correct at a huge ε = 2, more than 0 %: …'
        >>> summary([Sign("correct at a huge ε", 0.0, 0.0, False, 100, "…")])
        'No sign of gradient masking in 1 checks on 100 samples.'
    """
    if not signs:
        return "No sample is classified correctly, so nothing can be said."
    caught = [sign.sentence for sign in signs if sign.caught]
    if not caught:
        return f"No sign of gradient masking in {len(signs)} checks on {signs[0].samples} samples."
    return f"{len(caught)} of {len(signs)} signs of gradient masking: {' '.join(caught)}"

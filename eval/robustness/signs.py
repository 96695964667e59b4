"""The single signs of gradient masking, each with the largest figure that is none."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from alignment.double import exactly
from eval.attacks.protocols import Attack
from eval.robustness.samples import clean_logits
from eval.robustness.suspect import LOSSES, Suspect

POINTS = 0.2
"""Percentage points by which no attack should beat one that knows more."""

GAIN = 3.0
"""Percentage points that twice the steps and fresh restarts may gain. Plain and PGD-trained networks on digits and
Spheres gained at most 1.5, those with noise in their inputs 5 to 11."""

VANISHED = 5.0
"""Per cent of samples that may be without a gradient. Plain and PGD-trained networks had none."""

REPEATED = 1e-4
"""Difference between two outputs, relative to the largest logit, that rounding on a GPU may make."""

PROBABILITIES = 50.0
"""Per cent of outputs that may look like probabilities. Logits never do, a softmax always does."""


@dataclass(frozen=True)
class Sign:
    """One sign of gradient masking, caught or not.

    Attributes:
        name: of the sign, a few words.
        figure: what was measured.
        limit: the largest figure that is no sign.
        caught: whether the figure is above the limit.
        samples: number of samples behind the figure.
        sentence: the same in words.
    """

    name: str
    figure: float
    limit: float
    caught: bool
    samples: int
    sentence: str


def black_box_is_stronger(
    suspect: Suspect, epsilon: float, steps: int, black_box: Attack, fooled: Bool[Tensor, " N"]
) -> Sign:
    """What a black box fools and PGD does not, even told the class to aim at."""
    alone = suspect.percent(suspect.by_black_box(black_box, epsilon, suspect.correct & ~fooled, steps))
    return _sign(
        suspect,
        "black box is stronger",
        alone,
        POINTS,
        f"A black box at ε = {epsilon:.4g} fools {alone:.1f} points of samples that PGD with both losses, up to "
        f"{2 * steps} steps, restarts and targets does not",
        "there are adversarial examples to which the gradient does not lead",
        " points",
    )


def correct_at_a_huge_epsilon(suspect: Suspect, steps: int) -> Sign:
    """What PGD leaves when the whole legal range lies in its ball."""
    huge = suspect.largest_strength()
    fooled = suspect.by_gradient(huge, suspect.correct, steps=steps, random_start=False)
    left = suspect.percent(suspect.correct & ~fooled)
    return _sign(
        suspect,
        "correct at a huge ε",
        left,
        0.0,
        f"{left:.1f} % of the samples are still correct under PGD-{steps} at a huge ε = {huge:.4g}",
        "the gradient does not lead to another class, or there is none to lead to",
        " %",
    )


def accuracy_rises(suspect: Suspect, steps: int, ladder: Sequence[Tensor]) -> Sign:
    """The largest rise of accuracy from a smaller strength to a larger."""
    shares = [suspect.percent(fooled) for fooled in ladder]
    rise = max(before - after for i, after in enumerate(shares) for before in shares[: i + 1])
    return _sign(
        suspect,
        "accuracy rises with ε",
        rise,
        POINTS,
        f"The accuracy under PGD-{steps} rises by {rise:.1f} points between two of ¼, ½, 1, 2 and 4 ε",
        "a larger ball holds every smaller one, so the attack fails",
        " points",
    )


def single_step_is_stronger(suspect: Suspect, epsilon: float, steps: int, fooled: Bool[Tensor, " N"]) -> Sign:
    """What FGSM fools less what PGD does."""
    single = suspect.by_gradient(epsilon, suspect.correct, steps=1, step_size=epsilon, random_start=False)
    ahead = suspect.percent(single) - suspect.percent(fooled)
    return _sign(
        suspect,
        "single step is stronger",
        ahead,
        POINTS,
        f"A single step at ε = {epsilon:.4g} fools {abs(ahead):.1f} points {'more' if ahead > 0 else 'less'} than "
        f"PGD-{steps} with both losses and restarts",
        "the gradient is no guide beyond the point where it is taken",
        " points",
    )


def more_effort_gains(suspect: Suspect, epsilon: float, once: Bool[Tensor, " N"], twice: Bool[Tensor, " N"]) -> Sign:
    """What PGD fools with twice the steps and fresh starts, and does not without."""
    gain = suspect.percent(twice & ~once)
    return _sign(
        suspect,
        "more effort still gains",
        gain,
        GAIN,
        f"Twice the steps and fresh restarts of PGD at ε = {epsilon:.4g} fool {gain:.1f} points more",
        "the attack has not converged, and the accuracy under it is too high",
        " points",
    )


def no_gradient(suspect: Suspect) -> Sign:
    """The samples at which there is no gradient to follow."""
    margin, cross_entropy = (suspect.percent(suspect.without_gradient(loss)) for loss in LOSSES)
    return _sign(
        suspect,
        "no gradient",
        max(margin, cross_entropy),
        VANISHED,
        f"The input gradient of the margin vanishes or is not finite for {margin:.1f} % of the samples, that of the "
        f"cross-entropy for {cross_entropy:.1f} %",
        "attacks by gradient have nothing to follow",
        " %",
    )


def outputs_differ(suspect: Suspect) -> Sign:
    """How far two evaluations of the same inputs lie apart."""
    judge, samples = suspect.judge, suspect.judge.samples
    again = clean_logits(judge.classifier, samples.source.inputs, len(samples), judge.batching, judge.device)
    logits = samples.logits
    difference = float((again - logits).abs().max() / logits.abs().max().clamp(min=torch.finfo(logits.dtype).tiny))
    return _sign(
        suspect,
        "outputs differ",
        difference,
        REPEATED,
        f"Two outputs for the same inputs differ by {difference:.2g} times the largest logit",
        "attacks must average over the randomness",
    )


def softmax_as_logits(suspect: Suspect) -> Sign:
    """The samples whose logits are probabilities."""
    logits = suspect.judge.samples.logits
    sums = exactly(logits).sum(dim=1)
    share = suspect.percent((logits >= 0).all(dim=1) & ((sums - 1).abs() < 1e-4).to(logits.device))
    return _sign(
        suspect,
        "softmax as logits",
        share,
        PROBABILITIES,
        f"{share:.1f} % of the outputs are not negative and sum to 1",
        "probabilities flatten the losses of attacks, which need the logits behind them",
        " %",
    )


def _sign(suspect: Suspect, name: str, figure: float, limit: float, fact: str, meaning: str, unit: str = "") -> Sign:
    """The verdict on a figure."""
    caught, samples = figure > limit, len(suspect.correct)
    end = f"more than {limit:g}{unit}: {meaning}" if caught else f"not more than {limit:g}{unit}"
    return Sign(name, figure, limit, caught, samples, f"{fact} ({samples} samples), {end}.")

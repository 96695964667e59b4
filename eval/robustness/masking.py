"""Signs of gradient masking: reasons not to trust that a classifier is as robust as attacks by gradient say.

Athalye et al. 2018, https://arxiv.org/abs/1802.00420, section 3.1; Carlini et al. 2019,
https://arxiv.org/abs/1902.06705, sections 4 and 5; paper 1, section A.8.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from alignment.contracts import check_finite, check_labels
from alignment.gradients import as_variable, differentiable, evaluating, gradient_of, logits_of, pick
from eval.attacks.square import square_attack
from eval.attacks.verdict import predictions, verdict
from eval.robustness.radii import Attack, gathered, largest_strength
from training.attacks import Loss, Norm, attack_loss, pgd
from training.seeds import generator_for

SQUARE: Attack = partial(square_attack, queries=1000)
"""The black box unless another is given; it knows L∞ and L2."""

LOSSES: tuple[Loss, ...] = ("margin", "cross_entropy")

LADDER = (0.25, 0.5, 1, 2, 4)
"""The multiples of ε at which the accuracy is looked at."""

TRIES = 5
"""Starts from which PGD aims at the class that a black box found, before the black box counts as stronger."""

LEEWAY = 1.05
"""Multiple of ε that PGD may then use: the odd sample whose smallest radius is just below ε is luck."""

POINTS = 0.2
"""Percentage points by which no attack should beat one that knows more."""

GAIN = 3.0
"""Percentage points that twice the steps and fresh restarts may gain. Plain and PGD-trained networks on digits and
Spheres gained at most 1.5, those with noise in their inputs 5 to 11."""

VANISHED = 5.0
"""Per cent of samples that may be without a gradient. Plain and PGD-trained networks had none."""

REPEATED = 1e-4
"""Difference between two answers, relative to the largest logit, that rounding on a GPU may make."""

PROBABILITIES = 50.0
"""Per cent of answers that may look like probabilities. Logits never do, a softmax always does."""


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


def masking_signs(
    classifier: nn.Module,
    batches: Iterable[Any],
    *,
    epsilon: float,
    norm: Norm = "Linf",
    bounds: tuple[float, float] = (-1.0, 1.0),
    steps: int = 40,
    black_box: Attack = SQUARE,
    batch_size: int = 512,
    seed: int = 0,
) -> list[Sign]:
    """Look for eight signs of gradient masking around a strength.

    Every answer of every attack is verified, and a sample counts as fooled once any iterate is. Three attacks by
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
    7. Answers differ: two evaluations of the same inputs, by the largest difference relative to the largest logit.
    8. Softmax as logits: answers that are not negative and sum to 1.

    Around ε50% of plain and PGD-trained networks it takes about 350 forward and backward passes per sample, four
    times as many as ε50% itself, and half as many forward passes as the black box has queries; at a smaller ε, more.
    The classifier is left as it was found.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        batches: of inputs and true classes, and perhaps more.
        epsilon: strength in the data's own units at which robustness is claimed, for example ε50% under PGD.
        norm: of the ball.
        bounds: lowest and highest legal value of an input.
        steps: gradient steps of PGD.
        black_box: `(classifier, x, y, strength, *, norm, bounds, generator) → x_adv`.
        batch_size: samples per call of an attack.
        seed: of all randomness.

    Returns:
        The eight signs, caught or not, in the order above.

    Raises:
        ValueError: if epsilon is not above 0 and finite, `steps` is below 1, there is no sample, none is classified
            correctly, labels are out of range, inputs are NaN or outside the bounds, or logits are not finite.
    """
    if not 0 < epsilon < math.inf:
        raise ValueError(f"`epsilon` should be above 0 and finite. Found {epsilon}.")
    if steps < 1:
        raise ValueError(f"`steps` should be at least 1. Found {steps}.")
    with torch.inference_mode(False):
        suspect = _Suspect(classifier, batches, norm, bounds, batch_size, seed)
        answers = [_no_gradient(suspect), _answers_differ(suspect), _softmax_as_logits(suspect)]
        ladder = {times: suspect.by_gradient(times * epsilon, suspect.correct, steps=steps) for times in LADDER}
        once = suspect.by_more_effort(epsilon, ladder[1], steps)
        twice = suspect.by_more_effort(epsilon, once, 2 * steps)
        return [
            _black_box_is_stronger(suspect, epsilon, steps, black_box, twice),
            _correct_at_a_huge_epsilon(suspect, steps),
            _accuracy_rises(suspect, steps, list(ladder.values())),
            _single_step_is_stronger(suspect, epsilon, steps, once),
            _more_effort_gains(suspect, epsilon, once, twice),
            *answers,
        ]


def summary(signs: Sequence[Sign]) -> str:
    """One paragraph: the sentences of the signs that were caught, or that there is none.

    Example:
        >>> sentence = "20.0 % of 100 samples are still correct at a huge ε = 2, more than 0 %: …"
        >>> summary([Sign("correct at a huge ε", 20.0, 0.0, True, 100, sentence)])
        '1 of 1 signs of gradient masking: 20.0 % of 100 samples are still correct at a huge ε = 2, more than 0 %: …'
        >>> summary([Sign("correct at a huge ε", 0.0, 0.0, False, 100, "…")])
        'No sign of gradient masking in 1 checks on 100 samples.'
    """
    caught = [sign.sentence for sign in signs if sign.caught]
    if not caught:
        return f"No sign of gradient masking in {len(signs)} checks on {signs[0].samples} samples."
    return f"{len(caught)} of {len(signs)} signs of gradient masking: {' '.join(caught)}"


class _Suspect:
    """The samples, what the classifier answers for them, and which of them an attack fools."""

    def __init__(
        self,
        classifier: nn.Module,
        batches: Iterable[Any],
        norm: Norm,
        bounds: tuple[float, float],
        batch_size: int,
        seed: int,
    ) -> None:
        self.classifier, self.norm, self.bounds = classifier, norm, bounds
        self.batch_size, self.seed = batch_size, seed
        self.x, self.y = gathered(batches, bounds)
        self.device = next((p.device for p in classifier.parameters()), self.x.device)
        self.logits = self.answers()
        check_finite(self.logits, "classifier(x)")
        check_labels(self.y, len(self.x), self.logits.shape[1])
        self.correct = self.logits.argmax(dim=1) == self.y
        if not self.correct.any():
            raise ValueError(f"`classifier` should be right about a sample. Found {len(self.y)} wrong answers.")
        self.differentiable = True

    def percent(self, which: Bool[Tensor, " N"]) -> float:
        """Of all samples."""
        return 100 * int(which.sum()) / len(which)

    def sign(self, name: str, figure: float, limit: float, fact: str, meaning: str, unit: str = "") -> Sign:
        """The verdict on a figure."""
        caught = figure > limit
        end = f"more than {limit:g}{unit}: {meaning}" if caught else f"not more than {limit:g}{unit}"
        return Sign(name, figure, limit, caught, len(self.y), f"{fact} ({len(self.y)} samples), {end}.")

    def answers(self) -> Float[Tensor, "N C"]:
        """Logits of all samples."""
        with evaluating(self.classifier), torch.no_grad():
            parts = [logits_of(self.classifier, x.to(self.device)).cpu() for x in self.x.split(self.batch_size)]
        return torch.cat(parts)

    def without_gradient(self, loss: Loss) -> Bool[Tensor, " N"]:
        """The correct samples at which a loss has no gradient to follow."""
        without = torch.zeros_like(self.correct)
        for part, x, y in self._parts(self.correct):
            with evaluating(self.classifier), differentiable():
                variable = as_variable(x)
                scores = attack_loss(logits_of(self.classifier, variable), y, loss)
                try:
                    size = gradient_of(scores, variable).flatten(1).abs().amax(dim=1).cpu()
                except ValueError:  # not differentiable: attacks by gradient fool nobody
                    self.differentiable, size = False, torch.zeros(len(part))
            without[part] = ~size.isfinite() | (size < torch.finfo(size.dtype).tiny)
        return without

    def by_gradient(
        self, epsilon: float, among: Bool[Tensor, " N"], draw: str = "", **options: Any
    ) -> Bool[Tensor, " N"]:
        """Those of some samples that PGD fools; `draw` names the random numbers."""
        fooled = torch.zeros_like(self.correct)
        if self.differentiable:
            generator = generator_for(self.seed, "masking", draw, device=self.device)
            attack = partial(pgd, leave_when_fooled=True, **options)
            for part, x, y in self._parts(among):
                fooled[part] = self._judged(attack, x, y, epsilon, generator)[0].cpu()
        return fooled

    def by_more_effort(self, epsilon: float, fooled: Bool[Tensor, " N"], steps: int) -> Bool[Tensor, " N"]:
        """Those fooled already, and those that PGD fools with either loss from two starts."""
        for loss in LOSSES:
            left = self.correct & ~fooled
            fooled = fooled | self.by_gradient(epsilon, left, f"{loss} {steps}", steps=steps, loss=loss, restarts=2)
        return fooled

    def by_black_box(
        self, attack: Attack, epsilon: float, among: Bool[Tensor, " N"], steps: int
    ) -> Bool[Tensor, " N"]:
        """Those fooled by an attack, and not by PGD that aims at the class which the attack found."""
        alone = torch.zeros_like(self.correct)
        generator = generator_for(self.seed, "black box", device=self.device)
        for part, x, y in self._parts(among):
            fooled, answer = self._judged(attack, x, y, epsilon, generator)
            if fooled.any():
                x, y, answer = x[fooled], y[fooled], answer[fooled]
                alone[part[fooled.cpu()]] = ~self._by_aim(answer, x, y, LEEWAY * epsilon, generator, steps).cpu()
        return alone

    def _by_aim(
        self, answer: Tensor, x: Tensor, y: Tensor, epsilon: float, generator: torch.Generator, steps: int
    ) -> Bool[Tensor, " B"]:
        """Whom PGD fools that aims at the classes of an answer."""
        fooled = torch.zeros_like(y, dtype=torch.bool)
        aimed = partial(_aimed, found=predictions(self.classifier, answer), steps=steps)
        for _ in range(TRIES if self.differentiable else 0):
            fooled |= self._judged(aimed, x, y, epsilon, generator)[0]
        return fooled

    def _judged(
        self, attack: Attack, x: Tensor, y: Tensor, epsilon: float, generator: torch.Generator
    ) -> tuple[Bool[Tensor, " B"], Tensor]:
        """Which samples an attack fooled within the rules, and its answers."""
        strength = torch.full((len(x),), epsilon, dtype=x.dtype, device=x.device)
        answer = attack(self.classifier, x, y, strength, norm=self.norm, bounds=self.bounds, generator=generator)
        return verdict(self.classifier, x, y, answer, strength, norm=self.norm, bounds=self.bounds).fooled, answer

    def _parts(self, among: Bool[Tensor, " N"]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Places, inputs and classes of some samples, in batches."""
        for part in among.nonzero().squeeze(1).split(self.batch_size):
            yield part, self.x[part].to(self.device), self.y[part].to(self.device)


def _black_box_is_stronger(
    suspect: _Suspect, epsilon: float, steps: int, black_box: Attack, fooled: Bool[Tensor, " N"]
) -> Sign:
    alone = suspect.percent(suspect.by_black_box(black_box, epsilon, suspect.correct & ~fooled, steps))
    return suspect.sign(
        "black box is stronger",
        alone,
        POINTS,
        f"A black box at ε = {epsilon:.4g} fools {alone:.1f} points of samples that PGD with both losses, up to "
        f"{2 * steps} steps, restarts and targets does not",
        "there are adversarial examples to which the gradient does not lead",
        " points",
    )


def _correct_at_a_huge_epsilon(suspect: _Suspect, steps: int) -> Sign:
    huge = largest_strength(suspect.x, suspect.norm, suspect.bounds)
    fooled = suspect.by_gradient(huge, suspect.correct, steps=steps, random_start=False)
    left = suspect.percent(suspect.correct & ~fooled)
    return suspect.sign(
        "correct at a huge ε",
        left,
        0.0,
        f"{left:.1f} % of the samples are still correct under PGD-{steps} at a huge ε = {huge:.4g}",
        "the gradient does not lead to another class, or there is none to lead to",
        " %",
    )


def _accuracy_rises(suspect: _Suspect, steps: int, ladder: Sequence[Tensor]) -> Sign:
    shares = [suspect.percent(fooled) for fooled in ladder]
    rise = max(before - after for i, after in enumerate(shares) for before in shares[: i + 1])
    return suspect.sign(
        "accuracy rises with ε",
        rise,
        POINTS,
        f"The accuracy under PGD-{steps} rises by {rise:.1f} points between two of ¼, ½, 1, 2 and 4 ε",
        "a larger ball holds every smaller one, so the attack fails",
        " points",
    )


def _single_step_is_stronger(suspect: _Suspect, epsilon: float, steps: int, fooled: Bool[Tensor, " N"]) -> Sign:
    single = suspect.by_gradient(epsilon, suspect.correct, steps=1, step_size=epsilon, random_start=False)
    ahead = suspect.percent(single) - suspect.percent(fooled)
    return suspect.sign(
        "single step is stronger",
        ahead,
        POINTS,
        f"A single step at ε = {epsilon:.4g} fools {abs(ahead):.1f} points {'more' if ahead > 0 else 'less'} than "
        f"PGD-{steps} with both losses and restarts",
        "the gradient is no guide beyond the point where it is taken",
        " points",
    )


def _more_effort_gains(
    suspect: _Suspect, epsilon: float, once: Bool[Tensor, " N"], twice: Bool[Tensor, " N"]
) -> Sign:
    gain = suspect.percent(twice & ~once)
    return suspect.sign(
        "more effort still gains",
        gain,
        GAIN,
        f"Twice the steps and fresh restarts of PGD at ε = {epsilon:.4g} fool {gain:.1f} points more",
        "the attack has not converged, and the accuracy under it is too high",
        " points",
    )


def _no_gradient(suspect: _Suspect) -> Sign:
    margin, cross_entropy = (suspect.percent(suspect.without_gradient(loss)) for loss in LOSSES)
    return suspect.sign(
        "no gradient",
        max(margin, cross_entropy),
        VANISHED,
        f"The input gradient of the margin vanishes or is not finite for {margin:.1f} % of the samples, that of the "
        f"cross-entropy for {cross_entropy:.1f} %",
        "attacks by gradient have nothing to follow",
        " %",
    )


def _answers_differ(suspect: _Suspect) -> Sign:
    largest = suspect.logits.abs().max().clamp(min=torch.finfo(suspect.logits.dtype).tiny)
    difference = float((suspect.answers() - suspect.logits).abs().max() / largest)
    return suspect.sign(
        "answers differ",
        difference,
        REPEATED,
        f"Two answers for the same inputs differ by {difference:.2g} times the largest logit",
        "attacks must average over the randomness",
    )


def _softmax_as_logits(suspect: _Suspect) -> Sign:
    sums = suspect.logits.double().sum(dim=1)
    share = suspect.percent((suspect.logits >= 0).all(dim=1) & ((sums - 1).abs() < 1e-4))
    return suspect.sign(
        "softmax as logits",
        share,
        PROBABILITIES,
        f"{share:.1f} % of the answers are not negative and sum to 1",
        "probabilities flatten the losses of attacks, which need the logits behind them",
        " %",
    )


class _Towards(nn.Module):
    """The true class of each sample of one batch against another class, as a classifier with two logits."""

    def __init__(self, classifier: nn.Module, y: Int[Tensor, " B"], found: Int[Tensor, " B"]) -> None:
        super().__init__()
        self.classifier, self.y, self.found = classifier, y, found
        self.train(classifier.training)

    def forward(self, x: Float[Tensor, "B *shape"]) -> Float[Tensor, "B 2"]:
        logits = logits_of(self.classifier, x)
        return torch.stack([pick(logits, self.y), pick(logits, self.found)], dim=1)


def _aimed(classifier: nn.Module, x: Tensor, y: Tensor, strength: Tensor, *, found: Tensor, **options: Any) -> Tensor:
    """PGD towards one class per sample (Gowal et al. 2019, https://arxiv.org/abs/1910.09338)."""
    return pgd(_Towards(classifier, y, found), x, torch.zeros_like(y), strength, **options)

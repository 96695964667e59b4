"""A classifier under suspicion of masking its gradients, and which samples attacks of several kinds fool."""

from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from alignment.gradients import as_variable, differentiable, evaluating, logits_of
from eval.attacks.protocols import Attack
from eval.attacks.verdict import predictions
from eval.robustness.draws import Draws
from eval.robustness.first_order import gradient_if_any
from eval.robustness.guided import aimed_pgd, guided_pgd
from eval.robustness.judge import Judge, Judged
from eval.robustness.samples import largest_strength
from eval.robustness.together import shared
from training.attacks import Loss, Norm, attack_loss

LOSSES: tuple[Loss, ...] = ("margin", "cross_entropy")

TRIES = 5
"""Starts from which PGD aims at the class that a black box found, before the black box counts as stronger."""

LEEWAY = 1.05
"""Multiple of ε that PGD may then use: the odd sample whose smallest radius is just below ε is luck."""


class Suspect:
    """Which samples an attack fools, and at which there is a gradient.

    Args:
        judge: with the samples and the classifier.
        norm: of the ball.
        seed: of all randomness.

    Raises:
        ValueError: if no sample is classified correctly.
    """

    def __init__(self, judge: Judge, norm: Norm, seed: int) -> None:
        self.judge, self.norm, self.seed, self.correct = judge, norm, seed, judge.correct
        if not self.correct.any():
            raise ValueError(f"`classifier` should be right about a sample. Found {len(self.correct)} wrong outputs.")
        self.differentiable = True

    def largest_strength(self) -> float:
        """From any legal input to any other."""
        return largest_strength(self.judge.samples, self.norm, self.judge.bounds)

    def percent(self, which: Bool[Tensor, " N"]) -> float:
        """The share that some samples are of all, those included that are wrong without attack, in per cent."""
        return 100 * int(which.sum()) / len(which)

    def without_gradient(self, loss: Loss) -> Bool[Tensor, " N"]:
        """The correct samples at which a loss has no gradient to follow."""
        without = torch.zeros_like(self.correct)
        for part, size in self.judge.each(self.correct.nonzero().squeeze(1), partial(self._gradient_size, loss=loss)):
            without[part] = (~size.isfinite() | (size < torch.finfo(size.dtype).tiny)).cpu()
        self.differentiable = all(shared(lambda: self.differentiable))
        return without

    def _gradient_size(self, x: Tensor, y: Tensor, *, loss: Loss) -> Float[Tensor, " B"]:
        """The largest entry of each sample's gradient; 0 where there is no graph, which is remembered."""
        with evaluating(self.judge.classifier), differentiable():
            variable = as_variable(x)
            scores = attack_loss(logits_of(self.judge.classifier, variable), y, loss)
            gradient = gradient_if_any(scores, variable)
        if gradient is None:
            self.differentiable, gradient = False, torch.zeros_like(x)
        return gradient.flatten(1).abs().amax(dim=1)

    def by_gradient(
        self, epsilon: float, among: Bool[Tensor, " N"], draw: str = "", **options: Any
    ) -> Bool[Tensor, " N"]:
        """Those of some samples that PGD fools; `draw` names the random numbers."""
        fooled = torch.zeros_like(self.correct)
        if self.differentiable:
            draws = Draws(self.seed, "masking", draw, device=self.judge.device)
            attack = partial(guided_pgd, leave_when_fooled=True, **options)
            which = among.nonzero().squeeze(1)
            for rows, found in self.judge.dealt(
                which, lambda rows: self._judged(attack, which[rows], epsilon, draws).fooled, draws
            ):
                fooled[which[rows]] = found
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
        alone, which = torch.zeros_like(self.correct), among.nonzero().squeeze(1)
        draws = Draws(self.seed, "black box", device=self.judge.device)

        def work(rows: Tensor) -> Tensor:
            return self._by_black_box_alone(attack, which[rows], epsilon, steps, draws)

        for rows, found in self.judge.dealt(which, work, draws):
            alone[which[rows]] = found
        return alone

    def _by_black_box_alone(
        self, attack: Attack, part: Int[Tensor, " K"], epsilon: float, steps: int, draws: Draws
    ) -> Bool[Tensor, " K"]:
        """Those of one batch that the attack fools, and PGD towards the class found does not."""
        fooled, _, adversarial = self._judged(attack, part, epsilon, draws)
        if fooled.any():
            found = predictions(self.judge.classifier, adversarial[fooled.to(adversarial.device)])
            aimed = partial(aimed_pgd, steps=steps)
            fooled[fooled.clone()] = ~self._by_aim(aimed, part[fooled], found, LEEWAY * epsilon, draws)
        return fooled

    def _by_aim(
        self,
        aimed: Attack,
        part: Int[Tensor, " K"],
        found: Int[Tensor, " K"],
        epsilon: float,
        draws: Draws,
    ) -> Bool[Tensor, " K"]:
        """Whom PGD fools that aims at one class per sample, from several starts."""
        fooled = torch.zeros(len(part), dtype=torch.bool)
        for _ in range(TRIES if self.differentiable else 0):
            fooled |= self._judged(aimed, part, epsilon, draws, found=found).fooled
        return fooled

    def _judged(
        self, attack: Attack, part: Int[Tensor, " K"], epsilon: float, draws: Draws, **each: Tensor
    ) -> Judged:
        strength = torch.full((len(part),), epsilon, dtype=self.judge.samples.first.dtype)
        return self.judge.judged(attack, part, strength, draws, **each)

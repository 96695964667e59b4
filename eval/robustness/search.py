"""Brackets around the critical radius of every sample, and the attacks that move them."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from alignment.double import exactly, has_double
from alignment.gradients import evaluating, logits_of
from eval.attacks.protocols import Attack, MinimumNormAttack
from eval.robustness.dealing import to_send
from eval.robustness.draws import Draws
from eval.robustness.estimates import Estimates
from eval.robustness.judge import Judge, Judged
from eval.robustness.predicted import crossing, predicted_radii
from training.attacks import attack_loss

SMALLEST = 1e-6
"""A radius below this part of the largest strength is not resolved further."""

FEW = 1024
"""Samples, up to which the host keeps the brackets: a GPU would spend more time on launches than on numbers."""

CURVATURE = 0.8
"""Margins shrink ever faster along the path of an attack: on small CNNs a secant reaches a fifth too far."""


class Search:
    """What is known of each radius: the largest strength that failed, and the norm of the smallest perturbation.

    Args:
        judge: with the samples and the classifier.
        attack: `(classifier, x, y, strength, *, norm, bounds, generator) → x_adv`.
        epsilon_max: the largest strength to try.
        seed: of the attack's randomness.
    """

    def __init__(self, judge: Judge, attack: Attack | MinimumNormAttack, epsilon_max: float, seed: int) -> None:
        self.judge, self.attack, self.epsilon_max = judge, attack, epsilon_max
        self.draws = Draws(seed, "attack", device=judge.device)
        kept_here = len(judge.samples) <= FEW or not has_double(judge.device)
        self.place = torch.device("cpu") if kept_here else judge.device
        self.correct = judge.correct.to(self.place)
        self.lower = torch.zeros(len(judge.samples), dtype=torch.float64, device=self.place)
        self.upper = torch.where(self.correct, torch.inf, 0.0).double()
        self.margin = -exactly(attack_loss(judge.samples.logits, judge.samples.y, "margin")).to(self.place)
        self._estimates: Estimates | None = None
        self.told: Callable[[], None] = lambda: None
        """Called after each batch that was attacked."""

    @property
    def estimates(self) -> Estimates:
        """Of all radii; the first look at them costs a few gradients per sample."""
        if self._estimates is None:
            self._estimates = Estimates(self._predicted(), self.correct)
        return self._estimates

    def try_at(self, which: Int[Tensor, " K"], strength: Float[Tensor, " K"] | float) -> None:
        """Attack some samples, each at its strength, and move their brackets and what is expected of them."""
        strengths = torch.as_tensor(strength, dtype=torch.float64, device=self.place).expand(len(which))
        strengths = strengths.clamp(max=self.epsilon_max)
        which = which.cpu()  # once, since the samples may lie there

        def attacked(rows: Tensor) -> tuple[Judged, Tensor | None]:
            judged = self.judge.judged(self.attack, which[rows], strengths[rows], self.draws)
            left = None if self._estimates is None else to_send(self._margin_of(which[rows], judged.adversarial))
            return self.judge.sent(judged), left

        for rows, (judged, left) in self.judge.dealt(which, attacked, self.draws):
            self._note(which[rows], strengths[rows], judged, left)
            self.told()

    def _note(
        self, part: Int[Tensor, " K"], at: Float[Tensor, " K"], judged: Judged, left: Float[Tensor, " K"] | None
    ) -> None:
        """Move the brackets of a batch that was attacked."""
        self.judge.note(part, judged)
        fooled, size = judged.fooled.to(self.place), judged.size.to(self.place)
        found = torch.where(fooled, torch.minimum(size, at), torch.inf)
        self.upper[part] = torch.minimum(self.upper[part], found)
        self.lower[part] = torch.where(fooled, self.lower[part], at)
        if self._estimates is not None and left is not None:
            reach = crossing(self.margin[part], left.to(self.margin)) ** CURVATURE
            self._estimates.note(part, at * reach)

    def run_once(self) -> None:
        """Attack every sample that is classified correctly once, without a strength."""

        def attacked(part: Tensor) -> Judged:
            return self.judge.sent(self.judge.judged(self.attack, part, None, self.draws))

        for part, (fooled, size, _) in self.judge.each_once(attacked, self.draws):
            self.upper[part] = torch.where(fooled, size, torch.inf).to(self.place)
        self.lower = self.upper.clamp(max=self.epsilon_max)

    def decide(self, strength: float) -> None:
        """Attack at a strength whoever might be fooled at it or not."""
        self.try_at(self.undecided(strength).nonzero().squeeze(1), strength)

    def bracket(self, rank: int) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Bounds of the radius that has this rank: order statistics of the brackets' ends."""
        return self.lower.sort().values[rank], self.upper.sort().values[rank]

    def undecided(self, strength: Float[Tensor, " N"] | float) -> Bool[Tensor, " N"]:
        """The samples of which it is not known whether the attack succeeds at a strength."""
        return (self.lower < strength) & (strength < self.upper)

    def is_open(
        self, low: Float[Tensor, "*shape"], high: Float[Tensor, "*shape"], resolution: float
    ) -> Bool[Tensor, "*shape"]:
        """Which brackets are still wider than the resolution."""
        never = low >= self.epsilon_max
        close = high.isfinite() & (high - low <= resolution * high)
        return ~(never | close | (high <= SMALLEST * self.epsilon_max))

    def _margin_of(self, part: Int[Tensor, " K"], points: Tensor) -> Float[Tensor, " K"]:
        """True logit minus the largest wrong one at what an attack returned; only estimates depend on it."""
        x, y = self.judge.shown(part)
        legal = points.detach().to(x).nan_to_num().clamp(*self.judge.bounds)
        with evaluating(self.judge.classifier), torch.no_grad():
            return -exactly(attack_loss(logits_of(self.judge.classifier, legal), y, "margin")).to(self.margin)

    def _predicted_of(self, x: Tensor, y: Tensor) -> Float[Tensor, " K"]:
        norm = self.judge.norm
        assert norm is not None  # who asks has seen that
        assert norm != "L0"  # no attack with a strength is measured in it
        return predicted_radii(self.judge.classifier, x, y, norm, self.judge.bounds)

    def _predicted(self) -> Float[Tensor, " N"]:
        """By gradients; where they say nothing, like the others; where they say nothing of any, by the margin."""
        radii = torch.full_like(self.margin, torch.nan)
        if self.judge.norm is not None:
            for part, found in self.judge.each(self.judge.correct.nonzero().squeeze(1), self._predicted_of):
                radii[part] = exactly(found).to(radii)
        start = self.epsilon_max / 8
        for proposal in (radii, start * self.margin / self.margin[self.correct].median()):
            usable = self.correct & proposal.isfinite() & (proposal > SMALLEST * self.epsilon_max)
            if usable.any():
                return torch.where(usable, proposal, proposal[usable].median())
        return torch.full_like(radii, start)

"""Conflict-aware adversarial training sample by sample: paper 3, section 6, future work.

"We hold the assumption that some training samples can cause serious gradient conflict, while others do not. We will
evaluate this assumption in future work."
"""

from collections.abc import Callable
from functools import cache, partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from alignment.contracts import check_counts
from alignment.gradients import logits_of
from training.objective import takes_residual
from training.objectives import AdversarialObjective, Losses, Step
from training.sample_conflict import SampleConflict, check_by_sample, of_samples, sample_conflict
from training.turning import check_goal, turned

OBSERVED = ("sample_mu", "sample_cosine", "sample_opposed")
TURNED = "sample_turned"
"""What is measured, as it is logged after "train_"."""


class SampleCAAT:
    """CA-AT that decides and turns for each sample's own pair of gradients, and then takes their mean.

    With g_n,i and g_a,i the gradients, in all weights, of the clean and the adversarial loss of sample i, and
    φᵢ their cosine, a step follows (1/B) Σᵢ gᵢ, where Eq. 4 of paper 3 is applied to each sample:

        φᵢ ≤ γ :  gᵢ = g_a,i + ‖g_a,i‖ ( γ √(1 − φᵢ²) − φᵢ √(1 − γ²) ) / ( ‖g_n,i‖ √(1 − γ²) ) · g_n,i
        φᵢ > γ :  gᵢ = g_n,i

    so that cos(gᵢ, g_n,i) = γ wherever φᵢ ≤ γ < 1. For a batch of one it is `CAAT`; for more it is not, since that
    turns the mean of the gradients. The factors of Eq. 4 are found with per-sample gradients and then weigh the
    sample's two losses in an ordinary backward pass. It is an objective and takes no combiner's place: with a
    combiner beside it, what it follows is the adversarial gradient of that one.

    A network with dropout draws anew for each loss, and what is measured of its samples has the difference between
    the draws in it.

    It logs `train_sample_mu`, the mean of μᵢ = ‖g_n,i‖ ‖g_a,i‖ (1 − φᵢ); `train_sample_cosine`, the mean φᵢ;
    `train_sample_opposed`, the share of samples with φᵢ < 0; and `train_sample_turned`, that with φᵢ ≤ γ.

    Args:
        objective: whose losses are combined, such as `AT` or `TRADES`; the clean one is CE(x, y) unless it has one.
        gamma: γ, the goal of the cosine, in [0, 1]; None to follow the objective as it is, with whatever combiner,
            and measure alone. `train_sample_turned` is then left out.
        at_once: samples whose gradients are held at a time, each twice as large as the network.

    Raises:
        ValueError: if γ is not in [0, 1], `at_once` is below 1, or the objective is of another kind or draws random
            numbers in its loss.
    """

    def __init__(self, objective: AdversarialObjective, gamma: float | None = 0.8, at_once: int = 16) -> None:
        if not isinstance(objective, AdversarialObjective):
            raise ValueError(f"`objective` should be one at inputs that PGD finds. Found {type(objective).__name__}.")
        if objective.draws:
            raise ValueError(
                "`objective` should have a loss that draws nothing, so that each sample has its own. "
                f"Found {type(objective).__name__}."
            )
        check_counts(1, at_once=at_once)
        self.objective, self.gamma, self.at_once = objective, gamma if gamma is None else check_goal(gamma), at_once
        self.names = objective.names if gamma is None else ("adversarial",)
        self.observed = OBSERVED if gamma is None else (*OBSERVED, TURNED)
        self.takes_residual = takes_residual(objective)

    def with_residual(self, residual: Float[Tensor, "B *shape"]) -> "SampleCAAT":
        """The same around the objective for one batch, where that needs Δ̂x."""
        return SampleCAAT(self.objective.with_residual(residual), self.gamma, self.at_once)  # type: ignore[attr-defined]

    def check_network(self, network: nn.Module) -> None:
        """Refuse a network with batch normalisation that is not frozen.

        Raises:
            ValueError: if it is one.
        """
        check_by_sample(network)

    def __call__(
        self,
        classifier: nn.Module,
        x: Tensor,
        y: Tensor,
        clean_logits: Callable[[], Tensor],
        *,
        bounds: tuple[float, float],
        generator: torch.Generator,
    ) -> Losses:
        """The losses, and what was measured of the samples.

        With a γ they are `{"adversarial": …}`, which has the value of the objective's own adversarial loss and the
        gradient of the combination.

        Raises:
            ValueError: if the classifier has batch normalisation that is not frozen.
        """
        x = x.detach()
        perturbed = self.objective.perturbed(classifier, x, y, bounds=bounds, generator=generator)
        losses = partial(self._clean, generator), partial(self._adversarial, generator)
        measured = sample_conflict(classifier, losses, x, perturbed, y, self.at_once)
        if self.gamma is None:
            found = self.objective.losses(Step(classifier, x, y, perturbed, clean_logits, generator))
            return found | _observed(measured)
        lengths = measured.clean_norms, measured.adversarial_norms
        of_clean, of_adversarial = turned(measured.cosines, *lengths, self.gamma)
        clean, adversarial = (of_samples(partial(loss, classifier), x, perturbed, y) for loss in losses)
        followed = (of_clean.to(clean) * clean + of_adversarial.to(clean) * adversarial).mean()
        share = {TURNED: (measured.cosines <= self.gamma).double().mean()}
        # The weighted loss is no number that goes down; its gradient is what matters.
        value = adversarial.detach().mean()
        return {"adversarial": value + (followed - followed.detach())} | _observed(measured) | share

    def _clean(
        self, generator: torch.Generator, network: nn.Module, x: Tensor, perturbed: Tensor, y: Tensor
    ) -> Tensor:
        step = _step(network, x, perturbed, y, generator)
        if "clean" in self.objective.names:
            return self.objective.losses(step)["clean"]
        return F.cross_entropy(step.clean_logits(), y)

    def _adversarial(
        self, generator: torch.Generator, network: nn.Module, x: Tensor, perturbed: Tensor, y: Tensor
    ) -> Tensor:
        return self.objective.losses(_step(network, x, perturbed, y, generator))["adversarial"]


def _step(network: nn.Module, x: Tensor, perturbed: Tensor, y: Tensor, generator: torch.Generator) -> Step:
    return Step(network, x, y, perturbed, cache(lambda: logits_of(network, x)), generator)


def _observed(measured: SampleConflict) -> dict[str, Tensor]:
    values = measured.mus, measured.cosines, (measured.cosines < 0).double()
    return dict(zip(OBSERVED, (value.mean() for value in values), strict=True))

"""Training objectives: each returns named losses for a batch."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_choice, check_number
from alignment.gradients import logits_of, pick
from generators.global_batch import drawn
from training.adversarial_objective import AdversarialObjective, Step, not_negative
from training.attacks import Loss, column
from training.objective import Losses, Objective
from training.strength import Strength

__all__ = [
    "AT",
    "CLP",
    "MART",
    "TRADES",
    "AdversarialObjective",
    "AvMixup",
    "Losses",
    "Objective",
    "Plain",
    "Step",
    "not_negative",
]

Clean = Literal["within", "apart"]
"""Where CE(x, y) is: a part of the adversarial loss, as published, or a loss of its own, as in paper 3's program."""

Paired = Literal["logits", "probabilities"]
Labels = Literal["soft", "hard"]


class Plain:
    """Cross-entropy at the clean inputs: recipe B, and Lα together with the alignment penalty."""

    names: ClassVar[tuple[str, ...]] = ("clean",)

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
        """`{"clean": CE(x, y)}`."""
        return {"clean": F.cross_entropy(clean_logits(), y)}


class AT(AdversarialObjective):
    """Adversarial training with PGD (Madry et al. 2018; paper 1, Eq. 17), CE(x', y): recipe P.

    Args:
        epsilon: radius of the ball in the data's own units; `8/255` may be written.
        steps: gradient steps of the inner maximisation, κ; paper 1 takes 40.
        loss: what the inner maximisation raises, see `training.attacks.pgd`.
        inner: norm, step_size, random_start, solver and target of `AdversarialObjective`.
    """

    def __init__(self, epsilon: Strength, steps: int = 40, loss: Loss = "auto", **inner: Any) -> None:
        super().__init__(epsilon, steps=steps, loss=loss, **inner)

    def losses(self, step: Step) -> Losses:
        """`{"adversarial": CE(x', y)}`."""
        return {"adversarial": F.cross_entropy(step.perturbed_logits(), step.y)}


class TRADES(AdversarialObjective):
    """CE(x, y) + β · KL( p(x) ‖ p(x') ), batch mean (Zhang et al. 2019, https://arxiv.org/abs/1901.08573).

    The gradient flows through both p(x) and p(x'). The inner maximisation raises the KL divergence; paper 2's
    program raises cross-entropy instead. Paper 3's program is `TRADES(clean="apart", beta=1)`.

    Args:
        epsilon: radius of the ball in the data's own units; `8/255` may be written.
        beta: β ≥ 0, the paper's 1/λ.
        loss: what the inner maximisation raises, see `training.attacks.pgd`.
        clean: "apart" for two losses, so that a combiner weighs CE(x, y) against the divergence alone; their sum is
            the published one.
        inner: norm, steps, step_size, random_start, solver and target of `AdversarialObjective`.
    """

    def __init__(
        self, epsilon: Strength, beta: float = 6.0, loss: Loss = "kl", clean: Clean = "within", **inner: Any
    ) -> None:
        super().__init__(epsilon, loss=loss, **inner)
        self.beta = not_negative(beta, "beta")
        self.clean, self.names = clean, _names(clean)

    def losses(self, step: Step) -> Losses:
        """`{"adversarial": CE(x, y) + β · mean KL( p(x) ‖ p(x') )}`, or CE(x, y) as "clean" beside it."""
        clean = _log_probabilities(step.clean_logits())
        drift = _divergence(clean, _log_probabilities(step.perturbed_logits()))
        return _beside(self.clean, F.nll_loss(clean, step.y), self.beta * drift.mean())


class MART(AdversarialObjective):
    """BCE(x', y) + β · mean[ KL( p(x) ‖ p(x') ) · (1 − p(x)_y) ] (Wang et al. 2020; paper 2's program).

    BCE(x', y) = CE(x', y) − log(1.0001 − max_{c≠y} p(x')_c). The gradient flows through the weight 1 − p(x)_y too.
    https://openreview.net/forum?id=rklOg6EFwS

    Args:
        epsilon: radius of the ball in the data's own units; `8/255` may be written.
        beta: β ≥ 0; paper 3's program has 1.
        inner: norm, steps, step_size, loss, random_start, solver and target of `AdversarialObjective`.
    """

    def __init__(self, epsilon: Strength, beta: float = 6.0, **inner: Any) -> None:
        super().__init__(epsilon, **inner)
        self.beta = not_negative(beta, "beta")

    def losses(self, step: Step) -> Losses:
        """`{"adversarial": BCE(x', y) + β · mean[ KL( p(x) ‖ p(x') ) · (1 − p(x)_y) ]}`."""
        clean = _log_probabilities(step.clean_logits())
        adversarial = _log_probabilities(step.perturbed_logits())
        rival = adversarial.scatter(1, step.y.unsqueeze(1), -torch.inf).amax(dim=1)
        # 1 − p is −expm1(log p), which keeps the digits that 1 − exp(log p) loses near p = 1.
        boosted = -pick(adversarial, step.y) - torch.log(1e-4 - torch.expm1(rival))
        drift = _divergence(clean, adversarial) * -torch.expm1(pick(clean, step.y))
        return {"adversarial": (boosted + self.beta * drift).mean()}


class CLP(AdversarialObjective):
    """CE(x, y) + λ · mean ‖logit(x) − logit(x')‖² (logit pairing, Kannan et al. 2018, arXiv 1803.06373).

    Paper 3's program is `CLP(clean="apart", of="probabilities", squared=False, weight=1)`.

    Args:
        epsilon: radius of the ball in the data's own units; `8/255` may be written.
        weight: λ ≥ 0 of the distance between the two vectors of a sample.
        clean: "apart" for two losses, see `TRADES`.
        of: what is paired: "logits", or "probabilities", the softmax of both.
        squared: take the square of the Euclidean distance, as published, or the distance itself.
        inner: norm, steps, step_size, loss, random_start, solver and target of `AdversarialObjective`.
    """

    def __init__(
        self,
        epsilon: Strength,
        weight: float = 0.5,
        clean: Clean = "within",
        of: Paired = "logits",
        squared: bool = True,
        **inner: Any,
    ) -> None:
        super().__init__(epsilon, **inner)
        self.weight = not_negative(weight, "weight")
        self.clean, self.names = clean, _names(clean)
        check_choice(of, get_args(Paired), "of")
        self.of, self.squared = of, squared

    def losses(self, step: Step) -> Losses:
        """`{"adversarial": CE(x, y) + λ · mean distance}`, or CE(x, y) as "clean" beside it."""
        clean, adversarial = (_at_least_float32(logits()) for logits in (step.clean_logits, step.perturbed_logits))
        entropy = F.cross_entropy(clean, step.y)
        if self.of == "probabilities":
            clean, adversarial = clean.softmax(dim=1), adversarial.softmax(dim=1)
        apart = clean - adversarial
        # Of equal vectors the norm has the gradient 0, which the square root of a sum has not.
        distance = apart.square().sum(dim=1) if self.squared else torch.linalg.vector_norm(apart, dim=1)
        return _beside(self.clean, entropy, self.weight * distance.mean())


class AvMixup(AdversarialObjective):
    """Cross-entropy with soft labels between x and its adversarial vertex (Lee et al. 2020, arXiv 2003.02484).

    The vertex is x + γ(x' − x), clipped to the bounds. Each sample draws a share u ~ U[0, 1] and trains at
    u·x + (1 − u)·vertex, where the true class has the probability u·λ1 + (1 − u)·λ2 and the others share the rest.

    Args:
        epsilon: radius of the ball in the data's own units; `8/255` may be written.
        gamma: γ ≥ 0, how many times farther than x' the vertex is.
        lambda1: λ1 in [0, 1], probability of the true class at x.
        lambda2: λ2 in [0, 1], the same at the vertex; 0.1 says "any class" of ten. Paper 2's program has λ1 = 0.5
            and λ2 = 0.7, but trains on the hard labels.
        labels: "hard" for the true class with certainty at every mixture, as paper 2's program has it; λ1 and λ2 then
            mean nothing.
        inner: norm, steps, step_size, loss, random_start, solver and target of `AdversarialObjective`.
    """

    draws = True

    def __init__(
        self,
        epsilon: Strength,
        gamma: float = 2.0,
        lambda1: float = 1.0,
        lambda2: float = 0.1,
        labels: Labels = "soft",
        **inner: Any,
    ) -> None:
        super().__init__(epsilon, **inner)
        check_choice(labels, get_args(Labels), "labels")
        self.gamma = not_negative(gamma, "gamma")
        for name, value in (("lambda1", lambda1), ("lambda2", lambda2)):
            check_number(value, name, "lie in [0, 1]", lambda share: 0 <= share <= 1)
        self.lambda1, self.lambda2, self.labels = lambda1, lambda2, labels

    def perturbed(
        self,
        classifier: nn.Module,
        x: Float[Tensor, "B *shape"],
        y: Int[Tensor, " B"],
        *,
        bounds: tuple[float, float],
        generator: torch.Generator,
    ) -> Float[Tensor, "B *shape"]:
        """The adversarial vertex x + γ(x' − x) within the bounds, `(B, *shape)`, without a graph."""
        adversarial = super().perturbed(classifier, x, y, bounds=bounds, generator=generator)
        return torch.lerp(x.detach(), adversarial, self.gamma).clamp_(*bounds)

    def losses(self, step: Step) -> Losses:
        """`{"adversarial": cross-entropy of the labels between x and the vertex}`."""
        x = step.x.detach()
        options: Any = {"generator": step.generator, "device": step.generator.device, "dtype": x.dtype}
        share = drawn(len(x), step.generator, lambda count: torch.rand(count, **options)).to(x.device)
        mixed = torch.lerp(step.perturbed, x, column(share, x))
        log_p = _log_probabilities(logits_of(step.classifier, mixed))
        true = pick(log_p, step.y)
        if self.labels == "hard":
            return {"adversarial": -true.mean()}
        truth = self.lambda2 + (self.lambda1 - self.lambda2) * share
        others = (log_p.sum(dim=1) - true) / (log_p.shape[1] - 1)
        return {"adversarial": -(truth * true + (1 - truth) * others).mean()}


def _names(clean: Clean) -> tuple[str, ...]:
    """Names of the losses of an objective with a divergence.

    Raises:
        ValueError: if `clean` is neither "within" nor "apart".
    """
    check_choice(clean, get_args(Clean), "clean")
    return ("clean", "adversarial") if clean == "apart" else ("adversarial",)


def _beside(clean: Clean, entropy: Tensor, drift: Tensor) -> Losses:
    """CE(x, y) and what pairs x with x', as one loss or as two."""
    return {"clean": entropy, "adversarial": drift} if clean == "apart" else {"adversarial": entropy + drift}


def _at_least_float32(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _log_probabilities(logits: Tensor) -> Tensor:
    return F.log_softmax(_at_least_float32(logits), dim=1)


def _divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL( p ‖ q ) per sample."""
    # As `F.kl_div` has it to the last bit, which cannot be batched over samples.
    return (log_p.exp() * (log_p - log_q)).sum(dim=1)

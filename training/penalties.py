"""Penalties on the input gradient, which train beside any objective: L_α of paper 1, its variants and its rivals."""

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from alignment import alignment_penalty, gradient_norm_penalty
from alignment.contracts import check_counts, check_number
from alignment.jacobian import jacobian_penalty, random_projections
from alignment.variants import check_pixel_weights, lenient_alignment_penalty, weighted_alignment_penalty
from training.adversarial_objective import not_negative
from training.edges import check_image_shape, edge_penalty
from training.penalty import Penalty, PenaltyStep

__all__ = [
    "Alignment",
    "Edges",
    "GradientNorm",
    "Jacobian",
    "LenientAlignment",
    "Penalty",
    "PenaltyStep",
    "WeightedAlignment",
    "asked_for",
]


class Alignment(Penalty):
    """L_α: −mean sim( Δ̂x, ∇ℓ ) (paper 1, Eq. 9), which `alignment_weight` is short for."""

    name = "alignment"
    closest = 1
    takes_residual = True

    def value(self, step: PenaltyStep) -> Float[Tensor, ""]:
        """See `alignment.alignment_penalty`."""
        targets, residual = step.given().targets, step.given().closest()
        return alignment_penalty(step.classifier, step.x, step.y, residual, logits=step.logits, target=targets[:, 0])


class LenientAlignment(Penalty):
    """−mean max_k sim( Δ̂x(x, c_k), ∇ℓ_k ) over the k closest classes: paper 1, section 4, future work.

    Args:
        weight: λ ≥ 0.
        among: k ≥ 1, of how many closest classes the best aligned counts; of two classes there is one other, and the
            penalty is L_α.
    """

    name = "lenient_alignment"
    takes_residual = True

    def __init__(self, weight: float, among: int = 3) -> None:
        super().__init__(weight)
        check_counts(1, among=among)
        self.closest = among

    def value(self, step: PenaltyStep) -> Float[Tensor, ""]:
        """See `alignment.variants.lenient_alignment_penalty`."""
        targets, residuals = step.given()
        assert residuals is not None
        return lenient_alignment_penalty(step.classifier, step.x, step.y, residuals, targets, logits=step.logits)


class WeightedAlignment(Penalty):
    """−mean sim_w( Δ̂x, ∇ℓ ), where pixels count by the size of Δ̂x there: paper 1, section 4, future work.

    Args:
        weight: λ ≥ 0.
        power: p ≥ 0 of w = s^p, where s is |Δ̂x| over its largest value in the sample.
        threshold: θ in [0, 1]; w is 0 where s < θ, so that `power=0, threshold=0.1` is a mask.
    """

    name = "weighted_alignment"
    closest = 1
    takes_residual = True

    def __init__(self, weight: float, power: float = 1.0, threshold: float = 0.0) -> None:
        super().__init__(weight)
        check_pixel_weights(power, threshold)
        self.power, self.threshold = power, threshold

    def value(self, step: PenaltyStep) -> Float[Tensor, ""]:
        """See `alignment.variants.weighted_alignment_penalty`."""
        options = {"power": self.power, "threshold": self.threshold}
        target, residual = step.given().targets[:, 0], step.given().closest()
        given: Any = {"logits": step.logits, "target": target, **options}
        return weighted_alignment_penalty(step.classifier, step.x, step.y, residual, **given)


class GradientNorm(Penalty):
    """Mean ‖∇ℓ‖₂, the control for L_α, which `gradient_weight` is short for."""

    name = "gradient_norm"
    closest = 1

    def value(self, step: PenaltyStep) -> Float[Tensor, ""]:
        """See `alignment.gradient_norm_penalty`."""
        target = step.given().targets[:, 0]
        return gradient_norm_penalty(step.classifier, step.x, step.y, logits=step.logits, target=target)


class Edges(Penalty):
    """The input gradient should look like the edges of the image (Rodríguez-Muñoz et al. 2024, section 5.3).

    The gradient is that of the logit of a class drawn from softmax(logits / T), as in the authors' program.

    Args:
        weight: λ ≥ 0; the authors' program raises it from 1 to at most 19.
        sigma: of the blur before and after the Sobel filter, in pixels.
        temperature: T above 0.
        magnitude: compare the largest |g| of a pixel's channels; else g itself.
    """

    name = "edges"

    def __init__(self, weight: float, sigma: float = 1.0, temperature: float = 0.5, magnitude: bool = False) -> None:
        super().__init__(weight)
        for name, value in (("sigma", sigma), ("temperature", temperature)):
            check_number(value, name, "be finite and above 0", lambda number: 0 < number < torch.inf)
        self.sigma, self.temperature, self.magnitude = sigma, temperature, magnitude

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Refuse what is no image, or one too small to be blurred."""
        check_image_shape(shape, self.sigma)

    def value(self, step: PenaltyStep) -> Float[Tensor, ""]:
        """See `training.edges.edge_penalty`."""
        # The largest of logits with Gumbel noise is a class drawn from their softmax.
        noise = -step.drawn(torch.rand, step.logits.shape[1]).clamp(min=1e-30).log().neg().log()
        classes = (step.logits.detach() / self.temperature + noise).argmax(dim=1)
        options: Any = {"sigma": self.sigma, "magnitude": self.magnitude, "logits": step.logits}
        return edge_penalty(step.classifier, step.x, classes, **options)


class Jacobian(Penalty):
    """½ mean ‖∂logits/∂x‖_F² (Hoffman, Roberts and Yaida 2019, https://arxiv.org/abs/1908.02729).

    Args:
        weight: λ_JR ≥ 0; the paper takes 0.01 on MNIST.
        projections: random directions per sample, each of which costs a backward pass, 1 in the paper; None for the
            exact norm, which costs one per class.
    """

    name = "jacobian"

    def __init__(self, weight: float, projections: int | None = 1) -> None:
        super().__init__(weight)
        if projections is not None:
            check_counts(1, projections=projections)
        self.projections = projections

    def value(self, step: PenaltyStep) -> Float[Tensor, ""]:
        """See `alignment.jacobian.jacobian_penalty`."""
        penalty = partial(jacobian_penalty, step.classifier, step.x, logits=step.logits)
        if self.projections is None:
            return penalty()
        return penalty(random_projections(step.drawn(torch.randn, self.projections, step.logits.shape[1])))


def asked_for(
    alignment_weight: float, gradient_weight: float, penalty: Penalty | None, shape: tuple[int, ...]
) -> list[Penalty]:
    """The penalties of a training, without those of weight 0.

    Args:
        alignment_weight: of L_α.
        gradient_weight: of the gradient's norm.
        penalty: any other.
        shape: of one input.

    Raises:
        ValueError: if a weight is below 0 or not finite, one is asked for twice, or does not go with the inputs.
    """
    named = {"alignment_weight": Alignment, "gradient_weight": GradientNorm}
    weights = {"alignment_weight": alignment_weight, "gradient_weight": gradient_weight}
    short = [named[name](not_negative(weight, name)) for name, weight in weights.items()]
    found = [one for one in [*short, *([] if penalty is None else [penalty])] if one.weight > 0]
    for one in found:
        one.check_shape(shape)
    names = [one.name for one in found]
    if len({*names}) < len(names):
        twice = next(option for option, kind in named.items() if penalty is not None and kind.name == penalty.name)
        raise ValueError(
            f"`{twice}` should be 0 beside a `penalty` of the same loss, {names[-1]!r}. Found {weights[twice]}."
        )
    return found

"""Generators that draw Δ̂x directly, trained as optimal transport."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_number
from generators.direct import DirectGAN, Terms
from generators.gan import energy_distance


class TransportGAN(DirectGAN):
    """The same as optimal transport: x' has the distribution of the target class, and is on average the closest such.

    With Eqs. 11 and 12 any x' will do that D takes for the target: it stops short where D is sure early, and points
    anywhere where D is sure everywhere, as on Spheres with 500 dimensions. Here the generator moves one class onto
    the other at the least mean squared distance, `max_f min_G λ E[½‖Δ̂x‖₂²] − E[f_target(x')] + E[f_y(x)]` (Korotin et
    al. 2023, arXiv:2201.12220), where f_c is logit c of the discriminator, a potential and no score. On Spheres the
    solution is Δx; on Squares it is Δx but for pixels at the bounds.

    Averaged weights are needed, because both players circle around the solution, which lies near the middle. The
    gradient penalty R1 = ½ E[‖∇f_y(x)‖₂²] (Mescheder et al. 2018, arXiv:1801.04406) trades likeness for distance:
    where samples are few, f is smoother and Δ̂x shorter.

    All samples of the target class are reached as often as they occur, the far ones too, which makes Δ̂x longer than
    the way to the closest of them. With `balance` τ it is unbalanced transport (Choi et al. 2023, arXiv:2305.14777):
    the samples may be weighed anew, by w in [0, 2] with mean 1, at the price `τ E[w log w + (2 − w) log(2 − w)]`, and
    those far from all x count less. In the dual, f_y(x) becomes `2τ (log 2 − softplus(−f_y(x) / τ))`, of slope w.

    The best epoch has the lowest energy distance, mean over classes, between x' and validation samples of the target
    class, since the loss goes up and down with f. The logged terms are those of `DirectGAN`, and `train_gradient`.

    Args:
        discriminator: a classifier with C logits and without batch norm, so that f depends on one sample alone. For
            vectors its first layer needs more units than they have dimensions: ∇f is a mixture of its weights.
        network: name of the generator, see `generators.networks.build_generator`.
        network_options: what that network takes.
        shape: of one input; a configuration takes it from the data set.
        num_classes: C; a configuration takes it from the data set.
        bounds: lowest and highest legal value; a configuration takes them from the data set.
        distance_weight: λ; f takes its scale.
        gradient_weight: of R1; 0 for none.
        lr: learning rate of the generator's Adam.
        discriminator_lr: of the discriminator's Adam.
        betas: of both.
        average: decay per step of the averaged generator; 0 for none.
        cooling: share of the training, at its end, in which both learning rates fall to 0, as half a cosine.
        balance: τ, in the units of λ ½‖Δ̂x‖₂²; None for every sample as often as it occurs.

    Raises:
        ValueError: if `average` does not lie in [0, 1), `cooling` in [0, 1], or `balance` is not above 0 and finite.
    """

    monitored = "val_energy_distance"

    def __init__(
        self,
        discriminator: nn.Module,
        network: str = "unet",
        network_options: dict[str, Any] | None = None,
        shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 2,
        bounds: tuple[float, float] = (-1.0, 1.0),
        distance_weight: float = 1.0,
        gradient_weight: float = 0.0,
        lr: float = 1e-3,
        discriminator_lr: float = 1e-3,
        betas: tuple[float, float] = (0.0, 0.9),
        average: float = 0.998,
        cooling: float = 0.0,
        balance: float | None = None,
    ) -> None:
        if balance is not None:
            check_number(balance, "balance", "be above 0 and finite", lambda value: 0 < value < math.inf)
        super().__init__(
            discriminator,
            network,
            network_options,
            shape,
            num_classes,
            bounds,
            adversarial_weight=1.0,
            distance_weight=distance_weight,
            real_weight=1.0,
            fake_weight=1.0,
            lr=lr,
            discriminator_lr=discriminator_lr,
            betas=betas,
            average=average,
            cooling=cooling,
        )
        self.weights["gradient"] = gradient_weight
        self.balance = balance

    def generator_terms(
        self, x: Float[Tensor, "B *shape"], residual: Float[Tensor, "B *shape"], target: Int[Tensor, " B"]
    ) -> Terms:
        """−E[f_target(x')] and E[½‖Δ̂x‖₂²]."""
        return {
            "adversarial": -_potential(self.discriminator, x + residual, target).mean(),
            "distance": residual.square().flatten(1).sum(dim=1).mean() / 2,
        }

    def discriminator_terms(
        self,
        x: Float[Tensor, "B *shape"],
        moved: Float[Tensor, "B *shape"],
        y: Int[Tensor, " B"],
        target: Int[Tensor, " B"],
    ) -> Terms:
        """−E[f_y(x)], or what `balance` makes of it, E[f_target(x')] and, if it has a weight, R1.

        Real samples are weighted so that every class counts as much among y as among targets: what f_c gains by a
        constant must cancel.
        """
        penalised = self.weights["gradient"] > 0
        x = x.detach().requires_grad_(penalised)
        real, fake = _potential(self.discriminator, x, y), _potential(self.discriminator, moved, target)
        own, asked = self._counts(y), self._counts(target)
        terms = {"real": -(self._balanced(real) * (asked / own)[y]).mean(), "fake": (fake * (own > 0)[target]).mean()}
        if penalised:
            (gradient,) = torch.autograd.grad(real.sum(), x, create_graph=True)
            terms["gradient"] = gradient.square().flatten(1).sum(dim=1).mean() / 2
        return terms

    def _balanced(self, potential: Tensor) -> Tensor:
        """What a real sample's potential counts."""
        if self.balance is None:
            return potential
        return 2 * self.balance * (math.log(2) - F.softplus(-potential / self.balance))

    def _counts(self, classes: Int[Tensor, " B"]) -> Int[Tensor, " classes"]:
        """Samples of each class in the batch of all processes."""
        counts = torch.bincount(classes, minlength=self.num_classes)
        if self.portion.processes == 1:
            return counts
        whole: Tensor = self.trainer.strategy.reduce(counts * (self.portion.here > 0), reduce_op="sum")
        return whole

    def epoch_value(self, pairs: list[tuple[Tensor, Tensor]], loss: Tensor) -> Tensor:
        """Energy distance between x' and real samples, mean over classes."""
        return torch.stack([energy_distance(*pair) for pair in pairs]).mean()


def _potential(discriminator: nn.Module, x: Tensor, c: Tensor) -> Float[Tensor, " B"]:
    """f_c(x), logit c."""
    return discriminator(x).gather(1, c[:, None]).squeeze(1)

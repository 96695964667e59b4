"""A denoiser of a data set, the score of the data by it, and the direction that a Bayes classifier follows."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_finite, check_labels, check_number
from generators.direct import DirectResidual
from generators.generator_module import GeneratorModule
from generators.networks.denoising import levels_of


class Denoiser(GeneratorModule):
    """Denoising: minimises `E λ(σ) ‖D(x + σ n | c; σ) − x‖²`, Vincent 2011; Karras et al. 2022, Eqs. 2 and 8.

    The minimum is the posterior mean, so that `(D(x | c; σ) − x) / σ²` is the score of class c blurred by the noise,
    see `score`. λ = 1 / σ² + 1 / s², with deviation s of the data, weighs all noise levels alike; of a range, σ is
    drawn so that its logarithm is uniform. For a part of the samples the class is withheld, which teaches the score
    of all classes together (Ho and Salimans 2022, arXiv 2207.12598). The best epoch is lowest in that loss on
    validation, with the same noise in every epoch.

    Args:
        network: "film" or "unet" for images, or "mlp" for vectors, see `generators.networks.DenoisingNetwork`.
        network_options: what that network takes, such as `{width: 32, levels: 2}` or `{hidden: [200, 200]}`.
        sigma: σ, standard deviation of the noise, in the units of the data; or the lowest and the highest, which the
            network is told and `Translation` needs.
        deviation: s, of the values of the data, roughly.
        withheld: share of the samples whose class is withheld, in [0, 1].
        shape: of one input; a configuration takes it from the data set.
        num_classes: C; a configuration takes it from the data set.
        bounds: lowest and highest legal value; a configuration takes them from the data set.
        lr: learning rate of Adam.
        betas: of Adam.
        average: decay per step of the averaged network, which is the one that is kept; 0 for none.
        cooling: share of the training, at its end, in which the learning rate falls to 0, as half a cosine.

    Raises:
        ValueError: if `sigma` or `deviation` is not positive, `withheld` or `cooling` does not lie in [0, 1] or
            `average` in [0, 1), or, after an epoch, if a class had no training sample.
    """

    kind = "denoiser"
    monitored = "val_denoising_loss"

    def __init__(
        self,
        network: str = "unet",
        network_options: dict[str, Any] | None = None,
        sigma: float | Sequence[float] = 0.5,
        deviation: float = 0.5,
        withheld: float = 0.1,
        shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 2,
        bounds: tuple[float, float] = (-1.0, 1.0),
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        average: float = 0.0,
        cooling: float = 0.0,
    ) -> None:
        if not 0 <= withheld <= 1:
            raise ValueError(f"`withheld` should lie in [0, 1]. Found {withheld}.")
        levels = levels_of(sigma)
        made_for = sigma if isinstance(sigma, int | float) else [*sigma]
        options = {"sigma": made_for, "deviation": deviation, "body": network, "body_options": network_options or {}}
        super().__init__("denoising", options, shape, num_classes, bounds, lr, betas, average, cooling)
        self.withheld = withheld
        self.levels, self.deviation = levels, float(deviation)

    def noisy_loss(
        self, network: nn.Module, x: Float[Tensor, "B *shape"], told: Int[Tensor, " B"], noise: Tensor, place: Tensor
    ) -> Float[Tensor, " B"]:
        """λ(σ) times the mean squared error per sample.

        Args:
            network: D.
            x: clean samples.
            told: their classes, C for any.
            noise: n, of the shape of x.
            place: of σ in the logarithm of the range, `(B,)` in [0, 1].
        """
        low, high = self.levels
        sigma = low * (high / low) ** place
        noisy = x + sigma.reshape(-1, *[1] * (x.ndim - 1)) * noise
        denoised = network(noisy, told, sigma) if low < high else network(noisy, told)
        weight: Tensor = sigma**-2 + self.deviation**-2
        return weight * (denoised - x).flatten(1).square().mean(dim=1)

    def training_step(self, batch: Any, batch_index: int) -> None:
        """One step on a batch with fresh noise."""
        x, y = batch.x, batch.y
        self.see(y)
        noise = self.portion.rows(len(x), lambda count: torch.randn(count, *x.shape[1:], device=x.device))
        coins, place = (self.portion.rows(len(x), partial(torch.rand, device=x.device)) for _ in range(2))
        told = torch.where(coins < self.withheld, self.num_classes, y)
        loss = self.noisy_loss(self.generator, x, told, noise.to(x), place.to(x)).mean()
        self.step(0, loss)
        self.log_steps({"denoising_loss": loss})

    def validation_step(self, batch: Any, batch_index: int) -> None:
        """Keep the inputs; noise is drawn for all together."""
        self.held.append((batch.indices, batch.x, batch.y))

    def on_validation_epoch_end(self) -> None:
        """Log the loss with classes told, at noise that is the same in every epoch."""
        x, y = self.taken()
        if self.trainer.sanity_checking:
            return
        generator = torch.Generator().manual_seed(self.seed % 2**63)
        drawn = torch.randn(x.shape, generator=generator), torch.rand(len(x), generator=generator)
        noise, place = (part.to(x) for part in drawn)
        parts = zip(*(part.split(512) for part in (x, y, noise, place)), strict=True)
        value = torch.cat([self.noisy_loss(self.drawing, *part) for part in parts]).mean()
        found = torch.where(value.isfinite(), value, torch.inf)
        self.log(self.monitored, found, prog_bar=True, sync_dist=True)


@torch.no_grad()
def score(
    denoiser: nn.Module, x: Float[Tensor, "B *shape"], c: Int[Tensor, " B"] | None = None, sigma: float | None = None
) -> Float[Tensor, "B *shape"]:
    """The score of the data blurred by N(0, σ²), by Tweedie's formula: `∇ log p_σ(x | c) = (D(x | c) − x) / σ²`.

    Efron 2011; Karras et al. 2022, Eq. 3.

    Args:
        denoiser: see `generators.networks.DenoisingNetwork`; of a checkpoint by `load_generator`.
        x: inputs, `(B, *shape)`.
        c: classes in [0, C), `(B,)` int64; None for the score of all classes together.
        sigma: σ; None for the denoiser's own.

    Returns:
        Scores, `(B, *shape)`, per unit of x.

    Raises:
        ValueError: if x holds NaN, a class is out of range, or the denoiser was made for other σ.
    """
    check_finite(x, "x")
    made_for: Any = denoiser
    if c is not None:
        check_labels(c, len(x), made_for.num_classes, "c")
    told = torch.full((len(x),), made_for.num_classes, device=x.device) if c is None else c
    level = level_for(denoiser, sigma)
    found: Tensor = (denoising_at(denoiser, level)(x, told) - x) / level**2
    return found


class ScoreDifference(DirectResidual):
    """D(x | target) − D(x | y): σ² times the difference of two scores, and the direction of a Bayes classifier's ∇ℓ.

    By Bayes' rule `log p(target | x) − log p(y | x)` has the gradient `∇ log p(x | target) − ∇ log p(x | y)`: of the
    classifier that is best for the blurred data ∇ℓ points exactly there, whatever the classes' shares (Srinivas,
    Bordt and Lakkaraju 2023, arXiv 2305.19101, section on Bayes optimal models). As an estimator of Δx it may be
    trained with as well, which is near to Ganz, Kawar and Elad 2023 (arXiv 2207.11378).

    Args:
        generator: a denoiser, see `generators.networks.DenoisingNetwork`; kept in evaluation mode, and moved to the
            device of what it is asked.
        sigma: σ; None for the denoiser's own, which of a range is the geometric middle.
        batch: samples per pass.

    Raises:
        ValueError: if `batch` is below 1, or the denoiser was made for other σ.
    """

    name = "score"

    def __init__(self, generator: nn.Module, *, sigma: float | None = None, batch: int = 512) -> None:
        super().__init__(generator, batch=batch)
        self.sigma = level_for(generator, sigma)
        self.settings = {"sigma": self.sigma}

    def drawn(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        """Of one batch."""
        denoised = denoising_at(self.generator, self.sigma)
        return denoised(x, target) - denoised(x, y)


def level_for(denoiser: nn.Module, sigma: float | None) -> float:
    """The noise level at which a denoiser is asked.

    Raises:
        ValueError: if it was made for others.
    """
    made_for: Any = denoiser
    if sigma is None:
        return float(made_for.sigma)
    low, high = made_levels(denoiser)
    demand = f"lie in [{low}, {high}], for which the denoiser is made"
    check_number(sigma, "sigma", demand, lambda level: low <= level <= high)
    return float(sigma)


def made_levels(denoiser: nn.Module) -> tuple[float, float]:
    """The lowest and the highest noise level of a denoiser; of one that does not say them, its own σ twice."""
    made_for: Any = denoiser
    low, high = getattr(made_for, "levels", None) or (made_for.sigma, made_for.sigma)
    return float(low), float(high)


def denoising_at(denoiser: nn.Module, sigma: float) -> Callable[[Tensor, Tensor], Tensor]:
    """`(x, c) → D(x | c; σ)` at one noise level; a denoiser of one level alone is not told."""
    return partial(denoiser, sigma=sigma) if getattr(denoiser, "told", False) else denoiser

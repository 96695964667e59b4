"""A denoiser of a data set, the score of the data by it, and the direction that a Bayes classifier follows."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_finite, check_labels
from generators.direct import DirectResidual
from generators.generator_module import GeneratorModule


class Denoiser(GeneratorModule):
    """Denoising at one noise level: minimises `E ‖D(x + σ n | c) − x‖² / n`, Vincent 2011; Karras et al. 2022, Eq. 2.

    The minimum is the posterior mean, so that `(D(x | c) − x) / σ²` is the score of class c blurred by the noise, see
    `score`. For a part of the samples the class is withheld, which teaches the score of all classes together
    (Ho and Salimans 2022, arXiv 2207.12598). The best epoch is lowest in that loss on validation, with the same noise
    in every epoch.

    Args:
        network: "film" or "unet" for images, or "mlp" for vectors, see `generators.networks.DenoisingNetwork`.
        network_options: what that network takes, such as `{width: 32, levels: 2}` or `{hidden: [200, 200]}`.
        sigma: σ, standard deviation of the noise, in the units of the data.
        deviation: of the values of the data, roughly.
        withheld: share of the samples whose class is withheld, in [0, 1].
        shape: of one input; a configuration takes it from the data set.
        num_classes: C; a configuration takes it from the data set.
        bounds: lowest and highest legal value; a configuration takes them from the data set.
        lr: learning rate of Adam.
        betas: of Adam.
        average: decay per step of the averaged network, which is the one that is kept; 0 for none.

    Raises:
        ValueError: if `sigma` or `deviation` is not positive, `withheld` does not lie in [0, 1] or `average` in
            [0, 1), or, after an epoch, if a class had no training sample.
    """

    kind = "denoiser"
    monitored = "val_denoising_loss"

    def __init__(
        self,
        network: str = "unet",
        network_options: dict[str, Any] | None = None,
        sigma: float = 0.5,
        deviation: float = 0.5,
        withheld: float = 0.1,
        shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 2,
        bounds: tuple[float, float] = (-1.0, 1.0),
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        average: float = 0.0,
    ) -> None:
        if not 0 <= withheld <= 1:
            raise ValueError(f"`withheld` should lie in [0, 1]. Found {withheld}.")
        options = {"sigma": sigma, "deviation": deviation, "body": network, "body_options": network_options or {}}
        super().__init__("denoising", options, shape, num_classes, bounds, lr, betas, average)
        self.sigma, self.withheld = sigma, withheld

    def loss(self, denoised: Float[Tensor, "B *shape"], x: Float[Tensor, "B *shape"]) -> Float[Tensor, " B"]:
        """Mean squared error per sample, as a share of σ², which is the error of doing nothing."""
        return (denoised - x).flatten(1).square().mean(dim=1) / self.sigma**2

    def training_step(self, batch: Any, batch_index: int) -> None:
        """One step on a batch with fresh noise."""
        x, y = batch.x, batch.y
        self.see(y)
        noise = self.portion.rows(len(x), lambda count: torch.randn(count, *x.shape[1:], device=x.device))
        coins = self.portion.rows(len(x), partial(torch.rand, device=x.device))
        told = torch.where(coins < self.withheld, self.num_classes, y)
        loss = self.loss(self.generator(x + self.sigma * noise.to(x), told), x).mean()
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
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(self.seed % 2**63)).to(x)
        parts = zip((x + self.sigma * noise).split(512), x.split(512), y.split(512), strict=True)
        losses = torch.cat([self.loss(self.drawing(noisy, told), clean) for noisy, clean, told in parts])
        value = losses.mean()
        found = torch.where(value.isfinite(), value, torch.inf)
        self.log(self.monitored, found, prog_bar=True, sync_dist=True)


@torch.no_grad()
def score(
    denoiser: nn.Module, x: Float[Tensor, "B *shape"], c: Int[Tensor, " B"] | None = None
) -> Float[Tensor, "B *shape"]:
    """The score of the data blurred by N(0, σ²), by Tweedie's formula: `∇ log p_σ(x | c) = (D(x | c) − x) / σ²`.

    Efron 2011; Karras et al. 2022, Eq. 3.

    Args:
        denoiser: see `generators.networks.DenoisingNetwork`; of a checkpoint by `load_generator`.
        x: inputs, `(B, *shape)`.
        c: classes in [0, C), `(B,)` int64; None for the score of all classes together.

    Returns:
        Scores, `(B, *shape)`, per unit of x.

    Raises:
        ValueError: if x holds NaN, or a class is out of range.
    """
    check_finite(x, "x")
    made_for: Any = denoiser
    if c is not None:
        check_labels(c, len(x), made_for.num_classes, "c")
    told = torch.full((len(x),), made_for.num_classes, device=x.device) if c is None else c
    return (denoiser(x, told) - x) / made_for.sigma**2


class ScoreDifference(DirectResidual):
    """D(x | target) − D(x | y): σ² times the difference of two scores, and the direction of a Bayes classifier's ∇ℓ.

    By Bayes' rule `log p(target | x) − log p(y | x)` has the gradient `∇ log p(x | target) − ∇ log p(x | y)`: of the
    classifier that is best for the blurred data ∇ℓ points exactly there, whatever the classes' shares (Srinivas,
    Bordt and Lakkaraju 2023, arXiv 2305.19101, section on Bayes optimal models). As an estimator of Δx it may be
    trained with as well, which is near to Ganz, Kawar and Elad 2023 (arXiv 2207.11378).

    Args:
        generator: a denoiser, see `generators.networks.DenoisingNetwork`; kept in evaluation mode, and moved to the
            device of what it is asked.
        batch: samples per pass.

    Raises:
        ValueError: if `batch` is below 1.
    """

    name = "score"

    def __init__(self, generator: nn.Module, *, batch: int = 512) -> None:
        super().__init__(generator, batch=batch)
        made_for: Any = generator
        self.settings = {"sigma": made_for.sigma}

    def drawn(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        """Of one batch."""
        difference: Tensor = self.generator(x, target) - self.generator(x, y)
        return difference

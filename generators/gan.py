"""What the trainings against a discriminator share: its optimiser, and the look-out for collapse."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Adam

from generators.generator_module import GeneratorModule

COLLAPSED = 0.1
"""Spread of generated images, as a share of the real ones', below which a generator has collapsed."""


class GAN(GeneratorModule):
    """A generator and a discriminator with an optimiser each; subclasses take the steps.

    All randomness of an epoch depends on torch's seed at the time of construction and on the epoch alone, so that a
    run resumed from a checkpoint made at the end of an epoch ends where an uninterrupted one does.

    Args:
        network: name of the generator, see `generators.networks.build_generator`.
        network_options: what that network takes.
        discriminator: any module; a configuration names its class or function.
        shape: of one image; a configuration takes it from the data set.
        num_classes: C; a configuration takes it from the data set.
        bounds: lowest and highest legal value; a configuration takes them from the data set.
        lr: learning rate of the generator's Adam.
        discriminator_lr: of the discriminator's Adam.
        betas: of both.
        average: decay per step of the averaged generator that is kept beside the trained one; 0 for none.
        cooling: share of the training, at its end, in which both learning rates fall to 0, as half a cosine.

    Raises:
        ValueError: if `average` does not lie in [0, 1), or `cooling` in [0, 1].
    """

    def __init__(
        self,
        network: str,
        network_options: dict[str, Any] | None,
        discriminator: nn.Module,
        shape: Sequence[int],
        num_classes: int,
        bounds: tuple[float, float],
        lr: float,
        discriminator_lr: float,
        betas: tuple[float, float],
        average: float,
        cooling: float = 0.0,
    ) -> None:
        super().__init__(network, network_options, shape, num_classes, bounds, lr, betas, average, cooling)
        self.discriminator = discriminator
        self.discriminator_lr = discriminator_lr

    def configure_optimizers(self) -> list[Adam]:
        """The generator's and the discriminator's."""
        return [
            *super().configure_optimizers(),
            Adam(self.discriminator.parameters(), lr=self.discriminator_lr, betas=self.betas),
        ]

    def log_epoch(self, value: Tensor, share: Tensor) -> None:
        """Log how good an epoch is, or ∞, so that it is never the best one, where the generator has collapsed.

        Args:
            value: what the best epoch is lowest in.
            share: spread of the generated images, as a share of the real ones'.
        """
        collapsed = ~(share >= COLLAPSED) | ~value.isfinite()  # NaN is no number above the threshold
        self.log("val_spread", share, sync_dist=True)
        self.log(self.monitored, torch.where(collapsed, torch.inf, value), prog_bar=True, sync_dist=True)


def spread(images: Float[Tensor, "B *shape"]) -> Float[Tensor, ""]:
    """Root of the mean variance over a batch; 0 if all images are the same."""
    return images.flatten(1).var(dim=0, unbiased=False).mean().sqrt()


def energy_distance(a: Float[Tensor, "M *shape"], b: Float[Tensor, "N *shape"]) -> Float[Tensor, ""]:
    """`2 E‖A − B‖ − E‖A − A'‖ − E‖B − B'‖` over √n between two sets of images; 0 only for equal sets.

    Székely and Rizzo 2013. Unlike a distance of means it notices too little variety.

    Example:
        >>> energy_distance(torch.zeros(2, 4), torch.ones(3, 4))
        tensor(2.)
    """
    a, b = a.flatten(1), b.flatten(1)
    between = 2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean()
    return between / a.shape[1] ** 0.5

"""Train a conditional generator `(z, class) → image` with the multi-class hinge loss; paper 1, section 2.3.2."""

from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import multi_margin_loss

from generators.gan import GAN, energy_distance, spread
from generators.global_batch import Portion, SharedGenerator, drawn
from generators.projection import projection_loss


class Drawn(NamedTuple):
    """What the generator drew for a batch."""

    images: Tensor
    """All that the discriminator judges."""
    asked: Tensor
    """Their classes."""
    guess: Tensor | None = None
    """E(x, y)."""
    other: Tensor | None = None
    """G(E(x, y), c') of another class; among `images`."""
    own: Tensor | None = None
    """G(E(x, y), y)."""


class ConditionalGAN(GAN):
    """A generator and a discriminator with C + 1 logits, against each other.

    The discriminator minimises `multi_hinge(D(x), y) + multi_hinge(D(G(z, c)), drawn)`, the generator
    `multi_hinge(D(G(z, c)), c)`, where z is normal and c any class. That is the paper's recipe.

    A generator with an encoder can be trained for the search that follows. With ẑ = E(x, y) and another class c',
    these join: L_proj(x, ẑ, y) of Eq. 15, so that everything in the data can be drawn and is found at once;
    ‖G(ẑ, c') − G(ẑ, y)‖₂ / √n, Eq. 12 between two classes drawn from one z, so that nothing else than the class
    changes with the class; and G(ẑ, c') is among the images that the discriminator must take for c'.

    The best epoch has the lowest energy distance, per class, between drawn and validation images.

    Args:
        discriminator: from images to C + 1 logits; a configuration names
            `generators.networks.ConditionalDiscriminator`.
        network: name of the generator, see `generators.networks.build_generator`.
        network_options: what that network takes.
        shape: of one image; a configuration takes it from the data set.
        num_classes: C; a configuration takes it from the data set.
        bounds: lowest and highest legal value; a configuration takes them from the data set.
        projection_weight: of L_proj; above 0 it needs a generator with an encoder.
        regularization: λ_Regz in L_proj.
        distance_weight: of the distance between two classes drawn from one z.
        distance_rise: epochs over which that weight rises; where it is high from the start, classes look alike.
        class_weight: of a hinge loss among the C classes alone, summed over classes (Weston and Watkins 1999) and
            divided by C, for real images and for those drawn. The multi-class hinge loss heeds the highest wrong
            logit only: where that is "drawn", as soon as drawn images are good, classes are hardly learned.
        discriminator_steps: batches per step of the generator.
        lr: learning rate of the generator's Adam.
        discriminator_lr: of the discriminator's Adam.
        betas: of both.
        average: decay per step of the averaged generator; 0 for none.

    Raises:
        ValueError: if `average` does not lie in [0, 1), if `projection_weight` or `distance_weight` is not 0 and the
            generator has no encoder, or, after an epoch, if a class had no training sample.
    """

    kind = "conditional"
    monitored = "val_energy_distance"

    def __init__(
        self,
        discriminator: nn.Module,
        network: str = "conditional",
        network_options: dict[str, Any] | None = None,
        shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 10,
        bounds: tuple[float, float] = (-1.0, 1.0),
        projection_weight: float = 0.0,
        regularization: float = 0.03,
        distance_weight: float = 0.0,
        distance_rise: int = 0,
        class_weight: float = 0.0,
        discriminator_steps: int = 1,
        lr: float = 2e-4,
        discriminator_lr: float = 2e-4,
        betas: tuple[float, float] = (0.0, 0.999),
        average: float = 0.999,
    ) -> None:
        super().__init__(
            network, network_options, discriminator, shape, num_classes, bounds, lr, discriminator_lr, betas, average
        )
        self.paired = projection_weight > 0 or distance_weight > 0
        if self.paired and getattr(self.generator, "encoder", None) is None:
            raise ValueError(
                "`projection_weight` and `distance_weight` should be 0 for a generator without an encoder. "
                f"Found {projection_weight} and {distance_weight}; `network_options: {{encoder: 32}}` adds one."
            )
        self.projection_weight, self.regularization = projection_weight, regularization
        self.distance_weight, self.distance_rise = distance_weight, distance_rise
        self.class_weight = class_weight
        self.discriminator_steps = discriminator_steps
        self.latent_size: int = cast(Any, self.generator).latent_size

    def training_step(self, batch: Any, batch_index: int) -> None:
        """One step of the discriminator and, every `discriminator_steps`, one of the generator."""
        x, y = batch.x, batch.y
        self.see(y)
        # The process was a part of the seed when each drew for itself; the first one's numbers are kept.
        drawn = self.draw(x, y, self.random("train", self.current_epoch, batch_index, 0, portion=self.portion))
        fake = torch.full_like(drawn.asked, self.num_classes)
        found = {"discriminator": self.hinge(x, y) + multi_hinge(self.discriminator(drawn.images.detach()), fake)}
        self.step(1, found["discriminator"])
        if (batch_index + 1) % self.discriminator_steps == 0:
            losses = self.generator_losses(x, drawn)
            self.step(0, torch.stack([weight * loss for weight, loss in losses.values()]).sum())
            found |= {name: loss for name, (_, loss) in losses.items()}
        self.log_steps(found)

    def draw(self, x: Tensor, y: Tensor, random: torch.Generator) -> Drawn:
        """Images from the prior; where the generator learns in pairs also from a guess at x, as y and as c'."""
        z, asked = self.prior(len(x), random), self.any_class(len(x), random)
        if not self.paired:
            return Drawn(self.generator(z, asked), asked)
        guess: Tensor = cast(Any, self.generator).encoder(x, y)
        asked = torch.cat([asked, self.other_class(y, random)])
        # All in one pass, so that batch norm sees one batch.
        images = self.generator(torch.cat([z, guess, guess]), torch.cat([asked, y]))
        return Drawn(images[: len(asked)], asked, guess, images[len(x) : len(asked)], images[len(asked) :])

    def generator_losses(self, x: Tensor, drawn: Drawn) -> dict[str, tuple[float, Tensor]]:
        """What the generator minimises: weight and loss by name."""
        losses = {"generator": (1.0, self.hinge(drawn.images, drawn.asked))}
        if drawn.guess is not None and drawn.own is not None and drawn.other is not None:
            projection = projection_loss(x, drawn.own, drawn.guess, self.regularization).mean()
            distance = (drawn.other - drawn.own).flatten(1).norm(dim=1).mean() / x[0].numel() ** 0.5
            risen = min(1.0, (self.current_epoch + 1) / (self.distance_rise + 1))
            losses |= {
                "projection": (self.projection_weight, projection),
                "distance": (risen * self.distance_weight, distance),
            }
        return losses

    def hinge(self, images: Tensor, classes: Tensor) -> Tensor:
        """How far images are from being taken for real images of their classes."""
        logits = self.discriminator(images)
        loss = multi_hinge(logits, classes)
        if self.class_weight:
            loss = loss + self.class_weight * multi_margin_loss(logits[:, : self.num_classes], classes)
        return loss

    def validation_step(self, batch: Any, batch_index: int) -> None:
        """Keep the images; they are compared when all are here."""
        self.held.append((batch.indices, batch.x, batch.y))

    def on_validation_epoch_end(self) -> None:
        """Log the energy distance between drawn and real images, and the least spread, over classes."""
        x, y = self.taken()
        if self.trainer.sanity_checking:
            return
        with torch.no_grad():
            z = self.prior(len(x), self.random("validation"))
            drawn = torch.cat([self.drawing(*part) for part in zip(z.split(512), y.split(512), strict=True)])
        pairs = [(drawn[y == c], x[y == c]) for c in y.unique()]
        distances = torch.stack([energy_distance(*pair) for pair in pairs])
        shares = torch.stack([spread(ours) / spread(real) for ours, real in pairs])
        self.log_epoch(distances.mean(), shares.min())

    def random(self, *of: object, portion: Portion | None = None) -> torch.Generator:
        """A generator of random numbers that depends on the seed and on what it is for, and on nothing else.

        Args:
            of: what it is for.
            portion: of the samples that it draws for, which other processes share.
        """
        text = repr((self.seed, *of)).encode()
        generator = torch.Generator() if portion is None else SharedGenerator("cpu", portion)
        return generator.manual_seed(int.from_bytes(sha256(text).digest()[:7]))

    def prior(self, count: int, random: torch.Generator) -> Float[Tensor, "B latent"]:
        """Latent vectors as the generator is trained on."""
        draw = partial(torch.randn, generator=random, dtype=torch.float32)  # the same numbers in every precision
        return drawn(count, random, lambda rows: draw(rows, self.latent_size)).to(self.device).to(self.dtype)

    def any_class(self, count: int, random: torch.Generator) -> Int[Tensor, " B"]:
        """Classes, all equally likely."""
        classes = drawn(count, random, lambda rows: torch.randint(self.num_classes, (rows,), generator=random))
        return classes.to(self.device)

    def other_class(self, y: Int[Tensor, " B"], random: torch.Generator) -> Int[Tensor, " B"]:
        """Classes other than y, all equally likely."""
        further = drawn(len(y), random, lambda rows: torch.randint(1, self.num_classes, (rows,), generator=random))
        return (y + further.to(y)) % self.num_classes


def multi_hinge(logits: Float[Tensor, "B logits"], labels: Int[Tensor, " B"]) -> Float[Tensor, ""]:
    """Hinge loss over many classes, mean of `max(0, 1 − logit_y + max_{c ≠ y} logit_c)` (Crammer and Singer 2001).

    With C + 1 logits, the last for "drawn", it is both losses of Kavalerov et al. (arXiv:1912.04216): the
    discriminator's with the true class for real images and with "drawn", C, for drawn ones; the generator's with the
    class that was asked for.

    Example:
        >>> multi_hinge(torch.tensor([[2.0, 0.5, -1.0], [0.0, 0.5, -1.0]]), torch.tensor([0, 0]))
        tensor(0.7500)
    """
    own = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(dim=1)
    return (1 - own + others).relu().mean()

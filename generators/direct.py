"""Generators that draw Δ̂x directly, trained against a classifier; paper 1, section 2.3.1."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_choice, check_finite, check_labels
from generators.checkpoints import digest
from generators.gan import GAN, spread
from generators.global_batch import weight_of
from generators.networks.codes import Form, options_of

Terms = dict[str, Tensor]
Order = Literal["generator_first", "discriminator_first"]
Best = Literal["validation", "training"]


FORMS: Mapping[Form, Mapping[str, Any]] = {
    "ours": {"order": "generator_first", "best_by": "validation"},
    "paper": {"order": "discriminator_first", "best_by": "training"},
}
TRAINING_LOSS = "train_both_losses"
"""Name of the mean, over the batches of an epoch, of both networks' total losses together."""


class DirectGAN(GAN):
    """A generator `(x, y, target) → Δ̂x` against a classifier D: paper 1, Eqs. 10–13.

    With x' = x + Δ̂x, the generator minimises `λ_G CE(D(x'), target) + λ_RegG E[‖Δ̂x‖₂ / √n]` and, on the same x',
    the discriminator `λ_Dx CE(D(x), y) + λ_Dx' CE(D(x'), y)`. Cross-entropy over two logits is the paper's binary one
    on their difference. The target is the other class; of several, any other, drawn anew for every sample.

    The form "paper" is what the paper's program does: its networks, D's step before the generator's, and the best
    epoch by the mean loss of both in training. In ours the generator, which starts at Δ̂x = 0, steps first, and the
    best epoch is the one that is best on validation. Each departure can be chosen alone, here and in
    `network_options`. In both an epoch in which the generator had collapsed is never the best.

    Every term is logged without its weight, as `train_adversarial`, `train_distance`, `train_real`, `train_fake`.

    Args:
        discriminator: a classifier with C logits; a configuration names its class or function.
        network: name of the generator, see `generators.networks.build_generator`.
        network_options: what that network takes, but for its form.
        shape: of one input; a configuration takes it from the data set.
        num_classes: C; a configuration takes it from the data set.
        bounds: lowest and highest legal value; a configuration takes them from the data set.
        adversarial_weight: λ_G.
        distance_weight: λ_RegG.
        real_weight: λ_Dx.
        fake_weight: λ_Dx'.
        lr: learning rate of the generator's Adam.
        discriminator_lr: of the discriminator's Adam.
        betas: of both.
        average: decay per step of the averaged generator; 0 for none, as in the paper.
        form: "ours", or "paper" for the paper's.
        order: of the two steps, "generator_first" or "discriminator_first"; None as in the form.
        best_by: what the best epoch is lowest in: the generator's total loss on "validation", or the mean of both
            total losses over the batches of "training"; None as in the form.
        cooling: share of the training, at its end, in which both learning rates fall to 0, as half a cosine.

    Raises:
        ValueError: if `average` does not lie in [0, 1) or `cooling` in [0, 1], there is no such form, order or loss,
            or, after an epoch, if a class had no training sample.
    """

    kind = "direct"
    monitored = "val_generator_loss"

    def __init__(
        self,
        discriminator: nn.Module,
        network: str = "unet",
        network_options: dict[str, Any] | None = None,
        shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 2,
        bounds: tuple[float, float] = (-1.0, 1.0),
        adversarial_weight: float = 0.3,
        distance_weight: float = 0.5,
        real_weight: float = 1.0,
        fake_weight: float = 0.01,
        lr: float = 1e-4,
        discriminator_lr: float = 1e-4,
        betas: tuple[float, float] = (0.0, 0.9),
        average: float = 0.0,
        form: Form = "ours",
        order: Order | None = None,
        best_by: Best | None = None,
        cooling: float = 0.0,
    ) -> None:
        chosen = options_of(FORMS, form, order=order, best_by=best_by)
        check_choice(chosen["order"], get_args(Order), "order")
        check_choice(chosen["best_by"], get_args(Best), "best_by")
        options = dict(network_options or {})
        if form != "ours":  # a network of one's own need not know of forms
            options = {"form": form} | options
        super().__init__(
            network, options, discriminator, shape, num_classes, bounds, lr, discriminator_lr, betas, average, cooling
        )
        self.discriminator_first = chosen["order"] == "discriminator_first"
        if chosen["best_by"] == "training":
            self.monitored = TRAINING_LOSS
        self.losses: list[Tensor] = []
        self.weights = {
            "adversarial": adversarial_weight,
            "distance": distance_weight,
            "real": real_weight,
            "fake": fake_weight,
        }

    def generator_terms(
        self, x: Float[Tensor, "B *shape"], residual: Float[Tensor, "B *shape"], target: Int[Tensor, " B"]
    ) -> Terms:
        """L_G and L_RegG of Eqs. 11 and 12."""
        return {
            "adversarial": F.cross_entropy(self.discriminator(x + residual), target),
            "distance": residual.flatten(1).norm(dim=1).mean() / residual[0].numel() ** 0.5,
        }

    def discriminator_terms(
        self,
        x: Float[Tensor, "B *shape"],
        moved: Float[Tensor, "B *shape"],
        y: Int[Tensor, " B"],
        target: Int[Tensor, " B"],
    ) -> Terms:
        """L_Dx and L_Dx' of Eq. 11, where x' is taken for what it was made from."""
        return {
            "real": F.cross_entropy(self.discriminator(x), y),
            "fake": F.cross_entropy(self.discriminator(moved), y),
        }

    def total(self, terms: Terms) -> Tensor:
        """The weighted sum, Eq. 13."""
        return torch.stack([self.weights[name] * value for name, value in terms.items()]).sum()

    def on_train_epoch_start(self) -> None:
        """Begin to sum the losses of an epoch."""
        super().on_train_epoch_start()
        self.losses.clear()

    def training_step(self, batch: Any, batch_index: int) -> None:
        """A step of either network on the same x', in the order of the form."""
        x, y = batch.x, batch.y
        self.see(y)
        draw = partial(torch.randint, 1, self.num_classes, device=y.device)
        further = self.portion.rows(len(y), lambda count: draw(size=(count,)))
        target = (y + further) % self.num_classes
        residual = self.generator(x, y, target)
        if self.discriminator_first:
            discriminator = self._discriminate(x, residual, y, target)
            generator = self._generate(x, residual, target)
        else:
            generator = self._generate(x, residual, target)
            discriminator = self._discriminate(x, residual, y, target)
        self.losses.append(self.mean_over_processes((self.total(generator) + self.total(discriminator)).detach()))
        self.log_steps(generator | discriminator)

    def _generate(self, x: Tensor, residual: Tensor, target: Tensor) -> Terms:
        """A step of the generator; its terms before it."""
        self.discriminator.requires_grad_(False)
        terms = self.generator_terms(x, residual, target)
        self.step(0, self.total(terms))
        self.discriminator.requires_grad_(True)
        return terms

    def _discriminate(self, x: Tensor, residual: Tensor, y: Tensor, target: Tensor) -> Terms:
        """A step of the discriminator; its terms before it."""
        terms = self.discriminator_terms(x, x + residual.detach(), y, target)
        self.step(1, self.total(terms))
        return terms

    def validation_step(self, batch: Any, batch_index: int) -> None:
        """Log the generator's terms, and keep x and x'; the target goes through the other classes in turn."""
        x, y = batch.x, batch.y
        target = (y + 1 + batch.indices % (self.num_classes - 1)) % self.num_classes
        residual = self.drawing(x, y, target)
        terms = self.generator_terms(x, residual, target)
        named = {f"val_{name}": value for name, value in terms.items()}
        self.log_dict(named, batch_size=weight_of(len(x)), sync_dist=True)
        self.held.append((batch.indices, x, y, x + residual, target, self.total(terms).expand(len(x))))

    def on_validation_epoch_end(self) -> None:
        """Log what the best epoch is lowest in, and the least spread, over classes, of x' beside real samples."""
        x, y, moved, target, loss = self.taken()
        if self.trainer.sanity_checking:
            return
        pairs = [(moved[target == c], x[y == c]) for c in y.unique()]
        shares = torch.stack([spread(ours) / spread(real) for ours, real in pairs])
        self.log_epoch(self.epoch_value(pairs, loss.mean()), shares.min())

    def epoch_value(self, pairs: list[tuple[Tensor, Tensor]], loss: Tensor) -> Tensor:
        """What the best epoch is lowest in, without regard to collapse.

        Args:
            pairs: x' of a target class and the real samples of that class, for each class.
            loss: total loss of the generator on validation.
        """
        if self.monitored == TRAINING_LOSS:
            return torch.stack(self.losses).mean() if self.losses else loss.new_tensor(torch.nan)
        return loss


class DirectResidual:
    """Δ̂x from a generator, in one pass.

    Args:
        generator: from `(x, y, target)` to Δ̂x, with attributes `shape` and `num_classes`; kept in evaluation mode,
            and moved to the device of what it is asked.
        batch: samples per pass.

    Raises:
        ValueError: if `batch` is below 1.
    """

    name = "direct"

    def __init__(self, generator: nn.Module, *, batch: int = 512) -> None:
        if batch < 1:
            raise ValueError(f"`batch` should be at least 1. Found {batch}.")
        made_for: Any = generator
        self.shape, self.num_classes = tuple(made_for.shape), int(made_for.num_classes)
        self.generator, self.batch = generator.eval(), batch
        self.settings: dict[str, Any] = {}
        self.digest = digest(generator)

    @torch.no_grad()
    def __call__(
        self, x: Float[Tensor, "B *shape"], y: Int[Tensor, " B"], target: Int[Tensor, " B"]
    ) -> Float[Tensor, "B *shape"]:
        """Δ̂x(x, target), `(B, *shape)` float32.

        Raises:
            ValueError: for samples of another shape or with NaN, or a class the generator was not trained on.
        """
        self._check(x, y, target)
        self.generator.to(x.device)
        parts = zip(x.float().split(self.batch), y.split(self.batch), target.split(self.batch), strict=True)
        return torch.cat([self.drawn(*part) for part in parts]).float()

    def drawn(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        """Δ̂x of one batch."""
        residual: Tensor = self.generator(x, y, target)
        return residual

    def _check(self, x: Tensor, y: Tensor, target: Tensor) -> None:
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(
                f"`x` should hold samples of shape {self.shape}, as the generator was trained on. "
                f"Found {tuple(x.shape[1:])}."
            )
        check_finite(x, "x")
        check_labels(y, len(x), self.num_classes)
        check_labels(target, len(x), self.num_classes, "target")

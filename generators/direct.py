"""Generators that answer Δ̂x directly, trained against a classifier; paper 1, section 2.3.1, and a better way."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from generators.checkpoints import digest
from generators.gan import GAN, energy_distance, spread

Terms = dict[str, Tensor]


class DirectGAN(GAN):
    """A generator `(x, y, target) → Δ̂x` against a classifier D: paper 1, Eqs. 10–13.

    With x' = x + Δ̂x, the generator minimises `λ_G CE(D(x'), target) + λ_RegG E[‖Δ̂x‖₂ / √n]` and then, on the same x',
    the discriminator `λ_Dx CE(D(x), y) + λ_Dx' CE(D(x'), y)`. Cross-entropy over two logits is the paper's binary one
    on their difference. The target is the other class; of several, any other, drawn anew for every sample.

    Every term is logged without its weight, as `train_adversarial`, `train_distance`, `train_real`, `train_fake`. The
    best epoch has the lowest total loss of the generator on validation, as in the paper.

    Args:
        discriminator: a classifier with C logits; a configuration names its class or function.
        network: name of the generator, see `generators.networks.build_generator`.
        network_options: what that network takes.
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

    Raises:
        ValueError: if `average` does not lie in [0, 1), or, after an epoch, if a class had no training sample.
    """

    kind = "direct"
    monitored: ClassVar[str] = "val_generator_loss"

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
    ) -> None:
        super().__init__(
            network, network_options, discriminator, shape, num_classes, bounds, lr, discriminator_lr, betas, average
        )
        self.weights = {
            "adversarial": adversarial_weight,
            "distance": distance_weight,
            "real": real_weight,
            "fake": fake_weight,
        }
        self.held: list[tuple[Tensor, ...]] = []

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

    def training_step(self, batch: Any, batch_index: int) -> None:
        """One step of the generator, then one of the discriminator."""
        x, y = batch.x, batch.y
        self.see(y)
        target = (y + torch.randint(1, self.num_classes, y.shape, device=y.device)) % self.num_classes
        residual = self.generator(x, y, target)
        self.discriminator.requires_grad_(False)
        generator = self.generator_terms(x, residual, target)
        self.step(0, self.total(generator))
        self.discriminator.requires_grad_(True)
        discriminator = self.discriminator_terms(x, x + residual.detach(), y, target)
        self.step(1, self.total(discriminator))
        terms = {f"train_{name}": value.detach() for name, value in (generator | discriminator).items()}
        self.log_dict(terms, on_step=False, on_epoch=True)

    def validation_step(self, batch: Any, batch_index: int) -> None:
        """Log the generator's terms, and keep x and x'; the target goes through the other classes in turn."""
        x, y = batch.x, batch.y
        target = (y + 1 + batch.indices % (self.num_classes - 1)) % self.num_classes
        residual = self.drawing(x, y, target)
        terms = self.generator_terms(x, residual, target)
        self.log_dict({f"val_{name}": value for name, value in terms.items()}, batch_size=len(x), sync_dist=True)
        self.held.append((x, y, x + residual, target, self.total(terms).expand(len(x))))

    def on_validation_epoch_end(self) -> None:
        """Log what the best epoch is lowest in, and the least spread, over classes, of x' beside real samples."""
        x, y, moved, target, loss = (torch.cat(parts) for parts in zip(*self.held, strict=True))
        self.held.clear()
        if self.trainer.sanity_checking:
            return
        pairs = [(moved[target == c], x[y == c]) for c in y.unique()]
        shares = torch.stack([spread(ours) / spread(real) for ours, real in pairs])
        self.log_epoch(self.epoch_value(pairs, loss.mean()), shares.min())

    def epoch_value(self, pairs: list[tuple[Tensor, Tensor]], loss: Tensor) -> Tensor:
        """What the best epoch is lowest in.

        Args:
            pairs: x' of a target class and the real samples of that class, for each class.
            loss: total loss of the generator.
        """
        return loss


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

    Raises:
        ValueError: if `average` does not lie in [0, 1).
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
    ) -> None:
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
        )
        self.weights["gradient"] = gradient_weight

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
        """−E[f_y(x)], E[f_target(x')] and, if it has a weight, R1.

        Real samples are weighted so that every class counts as much among y as among targets: what f_c gains by a
        constant must cancel.
        """
        penalised = self.weights["gradient"] > 0
        x = x.detach().requires_grad_(penalised)
        real, fake = _potential(self.discriminator, x, y), _potential(self.discriminator, moved, target)
        own, asked = torch.bincount(y, minlength=self.num_classes), torch.bincount(target, minlength=self.num_classes)
        terms = {"real": -(real * (asked / own)[y]).mean(), "fake": (fake * (own > 0)[target]).mean()}
        if penalised:
            (gradient,) = torch.autograd.grad(real.sum(), x, create_graph=True)
            terms["gradient"] = gradient.square().flatten(1).sum(dim=1).mean() / 2
        return terms

    def epoch_value(self, pairs: list[tuple[Tensor, Tensor]], loss: Tensor) -> Tensor:
        """Energy distance between x' and real samples, mean over classes."""
        return torch.stack([energy_distance(*pair) for pair in pairs]).mean()


def _potential(discriminator: nn.Module, x: Tensor, c: Tensor) -> Float[Tensor, " B"]:
    """f_c(x), logit c."""
    return discriminator(x).gather(1, c[:, None]).squeeze(1)


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
        return torch.cat([self.generator(*part) for part in parts]).float()

    def _check(self, x: Tensor, y: Tensor, target: Tensor) -> None:
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(
                f"`x` should hold samples of shape {self.shape}, as the generator was trained on. "
                f"Found {tuple(x.shape[1:])}."
            )
        if not x.isfinite().all():
            raise ValueError("`x` should be finite. Found NaN or infinite values.")
        for labels, name in ((y, "y"), (target, "target")):
            if len(labels) and (int(labels.min()) < 0 or int(labels.max()) >= self.num_classes):
                raise ValueError(
                    f"`{name}` should lie in [0, {self.num_classes}), the classes the generator was trained on. "
                    f"Found values from {int(labels.min())} to {int(labels.max())}."
                )

"""What the trainings of all generators share: averaged weights, steps over several processes, what is saved."""

import math
from collections.abc import Sequence
from random import Random
from typing import Any, ClassVar, cast

import torch
from jaxtyping import Int
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchmetrics.utilities.distributed import gather_all_tensors

from generators.checkpoints import FORMAT, GENERATOR_KEY
from generators.descriptions import check_fits
from generators.global_batch import Portion, averaged, portion_of_step, weight_of
from generators.networks import build_generator
from generators.networks.exchanged_norm import count_samples, exchange_batch_norm


class GeneratorModule(LightningModule):
    """A generator with an optimiser; subclasses take the steps, and may add further networks.

    All randomness of an epoch depends on torch's seed at the time of construction and on the epoch alone, so that a
    run resumed from a checkpoint made at the end of an epoch ends where an uninterrupted one does.

    Args:
        network: name of the generator, see `generators.networks.build_generator`.
        network_options: what that network takes.
        shape: of one image; a configuration takes it from the data set.
        num_classes: C; a configuration takes it from the data set.
        bounds: lowest and highest legal value; a configuration takes them from the data set.
        lr: learning rate of the generator's Adam.
        betas: of Adam.
        average: decay per step of the averaged generator that is kept beside the trained one; 0 for none.
        cooling: share of the training, at its end, in which all learning rates fall to 0, as half a cosine; of the
            trainer's `max_epochs` or `max_steps`, and nothing falls where there is neither.

    Raises:
        ValueError: if `average` does not lie in [0, 1), or `cooling` in [0, 1].
    """

    automatic_optimization = False
    kind: ClassVar[str]
    monitored: str
    """What the best epoch is lowest in."""

    def __init__(
        self,
        network: str,
        network_options: dict[str, Any] | None,
        shape: Sequence[int],
        num_classes: int,
        bounds: tuple[float, float],
        lr: float,
        betas: tuple[float, float],
        average: float,
        cooling: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= average < 1:
            raise ValueError(f"`average` should lie in [0, 1). Found {average}.")
        if not 0 <= cooling <= 1:
            raise ValueError(f"`cooling` should lie in [0, 1]. Found {cooling}.")
        self.description = {
            "format": FORMAT,
            "kind": self.kind,
            "network": network,
            "options": dict(network_options or {}),
            "shape": list(shape),
            "num_classes": num_classes,
            "bounds": list(bounds),
            "averaged": average > 0,
        }
        self.generator = build_generator(
            network, shape=shape, num_classes=num_classes, bounds=bounds, **(network_options or {})
        )
        self.averaged = (
            AveragedModel(self.generator, multi_avg_fn=get_ema_multi_avg_fn(average), use_buffers=True)
            if average
            else None
        )
        self.lr, self.betas, self.cooling = lr, betas, cooling
        self.seed, self.num_classes = torch.initial_seed(), num_classes
        self.portion = Portion(1)
        self.held: list[tuple[Tensor, ...]] = []
        self.seen: Tensor
        self.register_buffer("seen", torch.zeros(num_classes, dtype=torch.int64), persistent=False)

    @property
    def drawing(self) -> nn.Module:
        """The generator to be used: the averaged one where there is one."""
        return self.generator if self.averaged is None else self.averaged.module

    def configure_optimizers(self) -> list[Adam]:
        """The generator's."""
        return [Adam(self.generator.parameters(), lr=self.lr, betas=self.betas)]

    def setup(self, stage: str) -> None:
        """Refuse data with other bounds or classes than those that the networks were made for."""
        if self.trainer.world_size > 1:
            exchange_batch_norm(self)
        data = getattr(self.trainer, "datamodule", None)
        if data is not None and hasattr(data, "bounds") and hasattr(data, "num_classes"):
            check_fits(
                self.description, f"The {type(self).__name__}", num_classes=data.num_classes, bounds=data.bounds
            )

    def see(self, y: Int[Tensor, " B"]) -> None:
        """Count the classes of a training batch."""
        self.seen += torch.bincount(y, minlength=self.num_classes)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Know which part of the batch of all processes this one is."""
        self._cool(batch_idx)
        self.portion = portion_of_step(self.trainer, len(batch[0]), batch_idx)
        if self.portion.processes > 1:
            count_samples(self, self.portion.here > 0)

    def _cool(self, batch_index: int) -> None:
        """Lower the learning rates by the share that is over of the epochs or the steps, whichever end first."""
        if not self.cooling:
            return
        epochs, steps = self.trainer.max_epochs or -1, self.trainer.max_steps
        begun = self.current_epoch + batch_index / self.trainer.num_training_batches
        # Steps are those of all optimisers, in both numbers.
        over = max(begun / epochs if epochs > 0 else 0.0, self.trainer.global_step / steps if steps > 0 else 0.0)
        fallen = max(0.0, (over - 1 + self.cooling) / self.cooling)
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * (1 + math.cos(math.pi * fallen)) / 2

    def seen_by_all(self) -> Int[Tensor, " classes"]:
        """Training samples of each class, in all processes."""
        return cast(Tensor, self.all_gather(self.seen)).reshape(-1, self.num_classes).sum(dim=0)

    def on_train_epoch_end(self) -> None:
        """Refuse to go on if a class had no sample."""
        missing = (self.seen_by_all() == 0).nonzero().flatten().tolist()
        if missing:
            raise ValueError(f"Every class should have training samples. Found none of classes {missing}.")

    def on_train_epoch_start(self) -> None:
        """Make the global randomness a function of seed and epoch, the same in all processes."""
        torch.manual_seed(Random(f"{self.seed} {self.current_epoch}").getrandbits(63))

    def step(self, which: int, loss: Tensor) -> None:
        """Follow a loss with one of the optimisers; the generator's is the first, 0."""
        found: Any = self.optimizers()
        optimizers = found if isinstance(found, list) else [found]
        optimizers[which].zero_grad()
        if self.portion.processes == 1:
            self.manual_backward(loss)
        else:
            self._share_gradient(loss, [w for group in optimizers[which].param_groups for w in group["params"]])
        optimizers[which].step()
        if which == 0 and self.averaged is not None:
            self.averaged.update_parameters(self.generator)

    def _share_gradient(self, loss: Tensor, weights: Sequence[Tensor]) -> None:
        """Give weights the mean over all processes of the gradient of a loss, in one exchange.

        The wrapper of several processes expects every backward pass to reach all weights, and here none does.
        """
        scaled = self.trainer.precision_plugin.pre_backward(self.portion.weight * loss, self)
        found = torch.autograd.grad(scaled, weights, materialize_grads=True)
        for weight, gradient in zip(weights, averaged(found, self.trainer), strict=True):
            weight.grad = gradient

    def mean_over_processes(self, value: Tensor) -> Tensor:
        """The mean over all samples of a batch, from that over those of this process."""
        if self.portion.processes == 1:
            return value
        return averaged([self.portion.weight * value], self.trainer)[0]

    def log_steps(self, values: dict[str, Tensor]) -> None:
        """Log means over the samples of an epoch."""
        count, together = weight_of(self.portion.here), self.portion.processes > 1
        named = {f"train_{name}": value.detach() for name, value in values.items()}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=count, sync_dist=together)

    def gathered(self, indices: Int[Tensor, " B"], *parts: Tensor) -> list[Tensor]:
        """What all processes keep of the validation samples, in the order of their indices."""
        if self.trainer.world_size == 1:
            return [*parts]
        order = torch.cat(gather_all_tensors(indices)).argsort()
        return [torch.cat(gather_all_tensors(part.detach()))[order] for part in parts]

    def taken(self) -> list[Tensor]:
        """What all processes held of the validation samples, behind their indices, which is let go of."""
        held = [torch.cat(parts) for parts in zip(*self.held, strict=True)]
        self.held.clear()
        return self.gathered(*held)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say in plain values which generator the weights belong to."""
        data = getattr(getattr(self.trainer, "datamodule", None), "name", "")
        checkpoint[GENERATOR_KEY] = self.description | {"data": data}

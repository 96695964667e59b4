"""The Lightning module that trains a classifier. It holds no mathematics."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from alignment import Residual, alignment_penalty
from alignment.gradients import as_variable
from training.checkpoints import FORMAT, NETWORK_KEY
from training.data import Batch, DataSet
from training.networks import build_network
from training.objectives import Objective, Plain
from training.seeds import derived_seed, generator_for

OptimizerCallable = Callable[[Iterable], Optimizer]
SchedulerCallable = Callable[[Optimizer], LRScheduler]


class Classifier(LightningModule):
    """Trains a named network with an objective and, if asked, the alignment penalty L_α (paper 1, Eq. 9).

    All randomness of an epoch depends on the seed and the epoch alone, so that a run resumed from a checkpoint made
    at the end of an epoch ends where an uninterrupted one does.

    Args:
        network: name of a network, see `training.build_network`.
        network_options: what that network takes.
        shape: of one input; a configuration takes it from the data set.
        num_classes: C; a configuration takes it from the data set.
        bounds: lowest and highest legal value of an input; a configuration takes them from the data set.
        objective: answers the named losses of a batch: `Plain` or `AT`.
        alignment_weight: λ_α of Eq. 9; 0 for none.
        residual: estimator for the penalty, by a name that `DataSet.residual` knows.
        candidates: closest classes to consider in the penalty; None for all.
        optimizer: makes an optimiser from parameters; None for the paper's Adam with 1e-4.
        scheduler: makes a learning-rate schedule, stepped once per epoch.
        seed: of initialisation, attacks and dropout.
    """

    def __init__(
        self,
        network: str = "small_cnn",
        network_options: dict[str, Any] | None = None,
        shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 2,
        bounds: tuple[float, float] = (-1.0, 1.0),
        objective: Objective | None = None,
        alignment_weight: float = 0.0,
        residual: str = "auto",
        candidates: int | None = None,
        optimizer: OptimizerCallable | None = None,
        scheduler: SchedulerCallable | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if alignment_weight < 0:
            raise ValueError(f"`alignment_weight` should be at least 0. Found {alignment_weight}.")
        self.description = {
            "format": FORMAT,
            "network": network,
            "options": dict(network_options or {}),
            "shape": list(shape),
            "num_classes": num_classes,
            "bounds": list(bounds),
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(seed, "initialisation"))
            self.network: nn.Module = build_network(
                network, shape=shape, num_classes=num_classes, bounds=bounds, **(network_options or {})
            )
        self.bounds, self.seed = bounds, seed
        self.objective = objective or Plain()
        self.alignment_weight, self.residual, self.candidates = alignment_weight, residual, candidates
        self.optimizer, self.scheduler = optimizer or partial(Adam, lr=1e-4), scheduler
        self.estimator: Residual | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Logits `(B, C)`."""
        return self.network(x)

    def setup(self, stage: str) -> None:
        """Build the residual estimator, which needs the data."""
        if stage == "fit" and self.alignment_weight > 0:
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            if not isinstance(data, DataSet):
                raise ValueError(
                    "`alignment_weight` above 0 needs residuals, and so a DataSet of training.data as the trainer's "
                    f"datamodule. Found {type(data).__name__}."
                )
            self.estimator = data.residual(self.residual)

    def on_train_epoch_start(self) -> None:
        """Make the global randomness (dropout) a function of seed and epoch."""
        torch.manual_seed(derived_seed(self.seed, "epoch", self.current_epoch))

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """The sum of the objective's losses and the weighted penalty."""
        x = as_variable(batch.x) if self.estimator else batch.x
        clean_logits = cache(lambda: self.network(x))
        losses = self.objective(
            self.network,
            x,
            batch.y,
            clean_logits,
            bounds=self.bounds,
            generator=generator_for(
                self.seed, "attack", self.current_epoch, batch_index, self.global_rank, device=self.device
            ),
        )
        if self.estimator:
            penalty = alignment_penalty(
                self.network, x, batch.y, self.estimator, candidates=self.candidates, logits=clean_logits()
            )
            losses["alignment"] = self.alignment_weight * penalty
        total = torch.stack(list(losses.values())).sum()
        named = {f"train_{name}": value for name, value in losses.items()} | {"train_loss": total}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=len(x))
        return total

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Accuracy."""
        correct = (self.network(batch.x).argmax(dim=1) == batch.y).float().mean()
        self.log("val_accuracy", correct, prog_bar=True, batch_size=len(batch.y), sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Optimiser and schedule as configured."""
        optimizer = self.optimizer(p for p in self.network.parameters() if p.requires_grad)
        if self.scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self.scheduler(optimizer)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say in plain values which network the weights belong to."""
        checkpoint[NETWORK_KEY] = self.description

"""Losses on validation and test samples after every epoch, for curves of them (paper 2, Figs. 6 and S2)."""

import math
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from alignment.contracts import check_counts
from alignment.gradients import evaluating
from eval.fit.selection import InItsPrecision, finite
from training import Classifier
from training.adversarial_objective import AdversarialObjective, Step
from training.data import Batch, DataSet
from training.data.split import SplitName
from training.objective import Losses, Objective, takes_residual
from training.seeds import generator_for

VALIDATION: SplitName = "validation"
TEST: SplitName = "test"
PREFIX = {VALIDATION: "val", TEST: "test"}
"""How the names of what is logged begin."""


class LossCurves(Callback):
    """Logs the clean and the adversarial loss as `val_clean` and `val_adversarial`, and if asked as `test_…`.

    The clean loss is CE(x, y). The adversarial one is that of the objective, at inputs found by its own inner
    maximisation; of AWP it is that of the objective within, at the true weights. Both are taken in evaluation mode at
    the end of the epoch. An objective that is none of this package's has its clean loss alone. A network whose logits
    are no numbers has NaN.

    Args:
        samples: of each split, the first ones; 0 for no losses.
        test: the test samples, too. Nothing is chosen by them.
        every: epochs from one time to the next.

    Raises:
        ValueError: if a number is out of its range.
    """

    def __init__(self, samples: int = 256, test: bool = False, every: int = 1) -> None:
        check_counts(0, samples=samples)
        check_counts(1, every=every)
        self.samples, self.test, self.every = samples, test, every
        self.shown: InItsPrecision | None = None

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Log the losses of the epoch."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        due = self.samples > 0 and (trainer.current_epoch + 1) % self.every == 0
        if not due or not isinstance(module, Classifier) or not isinstance(data, DataSet):
            return
        for part in (VALIDATION, TEST) if self.test else (VALIDATION,):
            if len(data.split(part)):
                found = self._losses(module, self._batches(data, part), part)
                named = {f"{PREFIX[part]}_{name}": value for name, value in found.items()}
                module.log_dict(named, sync_dist=True)

    def _batches(self, data: DataSet, part: SplitName) -> list[Batch]:
        """The first samples of a split."""
        split, size = data.split(part), data.eval_batch_size
        count = min(self.samples, len(split))
        return [split.__getitems__(range(start, min(start + size, count))) for start in range(0, count, size)]

    def _losses(self, module: Classifier, batches: list[Batch], part: SplitName) -> dict[str, float]:
        """Means over some samples."""
        if self.shown is None or self.shown.network is not module.network:
            self.shown = InItsPrecision(module.network)
        objective = getattr(module.objective, "objective", module.objective)
        generator = generator_for(module.seed, "curves", part, module.current_epoch, device=module.device)
        of_batch = partial(losses_of, self.shown, objective, bounds=module.bounds, generator=generator)
        with evaluating(module.network), torch.no_grad():
            whole = finite(self.shown, batches, module.device)
            parts = [of_batch(batch.x.to(module.device), batch.y.to(module.device), whole=whole) for batch in batches]
        count = sum(len(batch.y) for batch in batches)
        means = zip(parts, batches, strict=True)
        weighted = [
            {name: float(loss) * len(batch.y) / count for name, loss in found.items()} for found, batch in means
        ]
        return {name: sum(found[name] for found in weighted) for name in weighted[0]}


def losses_of(
    network: nn.Module,
    objective: Objective,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    *,
    bounds: tuple[float, float],
    generator: torch.Generator,
    whole: bool = True,
) -> Losses:
    """CE(x, y) as `clean`, and the loss of an adversarial objective at the inputs that it finds as `adversarial`.

    Args:
        network: in evaluation mode.
        objective: one that is not adversarial has no such loss.
        x: inputs.
        y: true classes.
        bounds: lowest and highest legal value of an input.
        generator: of the inner maximisation and of what the loss draws.
        whole: whether the logits are numbers; NaN else.
    """
    clean_logits = cache(lambda: network(x))
    found = {"clean": F.cross_entropy(clean_logits(), y)}
    if not isinstance(objective, AdversarialObjective):
        return found
    if not whole:
        return found | {"adversarial": torch.full_like(found["clean"], math.nan)}
    # A curve knows no Δ̂x; with one of zero the starts that are perpendicular to it are those of AT.
    inner: Any = objective.with_residual(torch.zeros_like(x)) if takes_residual(objective) else objective  # type: ignore[attr-defined]
    perturbed = inner.perturbed(network, x, y, bounds=bounds, generator=generator)
    return found | inner.losses(Step(network, x, y, perturbed, clean_logits, generator))

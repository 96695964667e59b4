"""What a trained module keeps of the epoch that it is in, and Lightning's state leaves out."""

from typing import Any

import torch
from pytorch_lightning import LightningModule

from generators.direct import DirectGAN
from generators.generator_module import GeneratorModule
from training import Classifier
from training.combiners import TorchJD
from training.data import DataSet


def epoch_so_far(module: LightningModule) -> dict[str, Any]:
    """The classes that a generator's epochs have seen, the losses of its batches, and the sums of recorded steps.

    Args:
        module: in the middle of an epoch.
    """
    found: dict[str, Any] = {}
    if isinstance(module, GeneratorModule):
        found["seen"] = module.seen_by_all().cpu()
    if isinstance(module, DirectGAN) and module.losses:
        found["losses"] = torch.stack(module.losses).cpu()
    if isinstance(module, Classifier) and module.recorded is not None:
        found["totals"] = {name: total.cpu() for name, total in module.recorded.totals.items()}
    return found


def go_on_in_epoch(module: LightningModule, found: dict[str, Any]) -> None:
    """Give a module back what it had kept.

    Args:
        module: before its first batch.
        found: see `epoch_so_far`; empty for a checkpoint of an older version.
    """
    if isinstance(module, GeneratorModule) and "seen" in found:
        module.seen.copy_(found["seen"])
    if isinstance(module, DirectGAN) and "losses" in found:
        module.losses[:] = found["losses"].to(module.device).unbind()
    if isinstance(module, Classifier) and module.recorded is not None:
        module.recorded.totals |= {name: total.to(module.device) for name, total in found.get("totals", {}).items()}


def check_goes_on_within(module: LightningModule, data: object) -> None:
    """Refuse to save within an epoch what could not go on as if nothing had happened.

    Args:
        module: to be trained.
        data: its data.

    Raises:
        ValueError: for data with a loader of their own, or an aggregator that remembers the steps before.
    """
    if getattr(type(data), "train_dataloader", None) is not DataSet.train_dataloader:
        raise ValueError(
            "`save.minutes` and `save.steps` should be left out for data with a `train_dataloader` of their own, "
            f"which does not say how it goes on in the middle of an epoch. Found {type(data).__name__}."
        )
    combiner = getattr(module, "combiner", None)
    if isinstance(combiner, TorchJD) and hasattr(combiner.aggregator, "reset"):
        raise ValueError(
            "`save.minutes` and `save.steps` should be left out for an aggregator that remembers the steps before, "
            f"which a checkpoint does not hold. Found {type(combiner.aggregator).__name__}."
        )

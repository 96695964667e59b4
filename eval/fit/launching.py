"""A training whose processes torchrun has started."""

import os

from pytorch_lightning import Trainer

from eval.progress.torchrun import is_launched


def as_launched() -> dict[str, int]:
    """Options of a trainer of all processes that torchrun has started; none where it has not."""
    if not is_launched():
        return {}
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    return {"devices": here, "num_nodes": int(os.environ["WORLD_SIZE"]) // here}


def check_launched(trainer: Trainer) -> None:
    """Refuse a trainer of fewer processes than torchrun has started, of which each would train for itself.

    Raises:
        ValueError: naming the options.
    """
    if is_launched() and trainer.world_size != (started := int(os.environ["WORLD_SIZE"])):
        raise ValueError(
            "`trainer.devices` and `trainer.num_nodes` should be left out with torchrun, which has started "
            f"{started} processes. Found a trainer of {trainer.world_size}."
        )

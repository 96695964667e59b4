"""How a training in several processes differs from one process with as large a global batch."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from generators.networks.exchanged_norm import ExchangedBatchNorm
from training.networks import FrozenBatchNorm

ALIKE = (ExchangedBatchNorm, FrozenBatchNorm, nn.SyncBatchNorm)
"""Kinds of batch norm whose statistics are the same in all processes."""
DRAWING = ("dropout", "droppath", "stochasticdepth")
"""Parts of the names of layers that draw random numbers in training."""


def said_to_differ(module: nn.Module, processes: int) -> str:
    """A sentence on what several processes do not share, empty where they train as one does.

    Args:
        module: that is trained, as it trains.
        processes: that train it, each with batches of its own.
    """
    if processes == 1:
        return ""
    apart = []
    if any(_draws(part) for part in module.modules()):
        apart.append("dropout, which each process draws by itself")
    if any(isinstance(part, _BatchNorm) and not isinstance(part, ALIKE) for part in module.modules()):
        apart.append("batch norm without running statistics or of an unknown kind, which each process takes alone")
    if not apart:
        return ""
    return f"{processes} processes differ from one with as large a batch as theirs together in " + ", and ".join(
        apart
    )


def _draws(layer: nn.Module) -> bool:
    """Whether a layer drops something at random."""
    kind = type(layer).__name__.lower()
    return any(name in kind for name in DRAWING) and any(
        getattr(layer, strength, 0) for strength in ("p", "drop_prob")
    )

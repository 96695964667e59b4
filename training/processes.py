"""How a training in several processes differs from one process with as large a global batch."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def said_to_differ(network: nn.Module, processes: int) -> str:
    """A sentence on what several processes do not share, empty for one process.

    Args:
        network: that is trained.
        processes: that train it, each with batches of its own.
    """
    if processes == 1:
        return ""
    apart = ["random draws (attack starts, augmentation, dropout)", "samples repeated to fill uneven batches"]
    unsynchronised = (isinstance(m, _BatchNorm) and not isinstance(m, nn.SyncBatchNorm) for m in network.modules())
    if any(unsynchronised):
        apart.append("batch norm, whose statistics each process takes alone")
    return f"{processes} processes with a batch each differ from one with as large a global batch: " + ", ".join(
        apart
    )

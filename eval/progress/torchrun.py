"""Whether torchrun has started this process and others beside it, of which the first alone speaks."""

import os


def is_launched() -> bool:
    """Whether torchrun has started this process; as `torch.distributed.is_torchelastic_launched`, without torch."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def is_first() -> bool:
    """Whether this process is the only one, or the first of those that torchrun has started."""
    return not is_launched() or os.environ["RANK"] == "0"

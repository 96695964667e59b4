"""Whether torchrun has started this process, and others beside it."""

import os

from torch import distributed


def is_launched() -> bool:
    """Whether torchrun has started this process."""
    return distributed.is_available() and distributed.is_torchelastic_launched()


def is_first() -> bool:
    """Whether this is the process that speaks: the only one, or the first that torchrun has started."""
    return not is_launched() or os.environ["RANK"] == "0"

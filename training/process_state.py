"""What a training changes of the process that it runs in: exchanged where several take turns."""

import os
import random

import numpy as np
import torch

SEED = "PL_GLOBAL_SEED"
"""Where Lightning keeps the seed that it was given last."""


class ProcessState:
    """Global random numbers, the seed that Lightning remembers, and autograd's watch for NaN, as they are now.

    Grad mode, autocast and deferred checks belong to a thread, and need no exchange. The generator of a CUDA device
    is left as it is: networks that draw from it are not trained side by side, see `training.side_by_side.draws`.
    """

    def __init__(self) -> None:
        self.torch = torch.get_rng_state()
        self.numpy = np.random.get_state()  # noqa: NPY002 (whoever uses the global generator has this one)
        self.python = random.getstate()
        self.seed = os.environ.get(SEED)
        self.anomaly = torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()

    def restore(self) -> None:
        """Make the process what it was."""
        torch.set_rng_state(self.torch)
        np.random.set_state(self.numpy)  # noqa: NPY002
        random.setstate(self.python)
        if self.seed is None:
            os.environ.pop(SEED, None)
        else:
            os.environ[SEED] = self.seed
        torch.set_anomaly_enabled(*self.anomaly)

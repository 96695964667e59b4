"""The loss of a classifier at its best temperature: how much its logits know, whatever their scale."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar
from torch import Tensor

LARGEST = 7.0
"""Natural logarithm of the largest temperature, and of the inverse of the smallest, that is tried."""


def calibrated_loss(logits: Float[Tensor, "N C"], y: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Cross-entropy of each sample, in nats and float64, at the temperature at which their mean is lowest.

    Logits that are too large or too small for their accuracy, as those of a network trained against attacks, then
    cost nothing (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

    Args:
        logits: finite.
        y: true classes.
    """
    logits = logits.double()
    # The mean is convex in the inverse of the temperature, and so has one valley in its logarithm.
    found = minimize_scalar(
        lambda log_scale: float(_losses(logits, y, log_scale).mean()), bounds=(-LARGEST, LARGEST), method="bounded"
    )
    return _losses(logits, y, float(found.x))


def _losses(logits: Tensor, y: Tensor, log_scale: float) -> Float[Tensor, " N"]:
    return F.cross_entropy(logits * torch.tensor(log_scale, dtype=torch.float64).exp(), y, reduction="none")

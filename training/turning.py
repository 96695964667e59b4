"""How conflict-aware training turns an adversarial gradient towards the clean one: paper 3, Eq. 4."""

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from alignment.contracts import check_number


def check_goal(gamma: float) -> float:
    """γ, the goal of the cosine, refused if it is not in [0, 1]."""
    check_number(gamma, "gamma", "be in [0, 1]", lambda goal: 0 <= goal <= 1)
    return gamma


def turned(
    cosine: Float64[Tensor, "*N"],
    clean_norm: Float64[Tensor, "*N"],
    adversarial_norm: Float64[Tensor, "*N"],
    gamma: float,
) -> tuple[Float64[Tensor, "*N"], Float64[Tensor, "*N"]]:
    """What the clean and what the adversarial gradient count in their combination: paper 3, Eq. 4.

    With φ = cos(g_n, g_a) they are 1 and 0 where φ > γ, and otherwise 1 for the adversarial gradient and

        ‖g_a‖ ( γ √(1 − φ²) − φ √(1 − γ²) ) / ( ‖g_n‖ √(1 − γ²) )

    for the clean one. For γ = 1, the limit of the direction, they are 1 and 0.

    Args:
        cosine: φ, one or several, in [-1, 1]; 0 where a gradient is zero.
        clean_norm: ‖g_n‖₂ of each.
        adversarial_norm: ‖g_a‖₂ of each.
        gamma: γ in [0, 1].
    """
    if gamma == 1:
        return torch.ones_like(cosine), torch.zeros_like(cosine)
    sine = ((1 - cosine) * (1 + cosine)).sqrt()
    slope = gamma / math.sqrt((1 - gamma) * (1 + gamma))
    ratio = adversarial_norm / torch.where(clean_norm == 0, 1, clean_norm)
    agree = cosine > gamma
    return torch.where(agree, 1, ratio * (slope * sine - cosine)), 1 - agree.to(cosine.dtype)

"""Where a pilot of a few radii says that a rank of all radii lies."""

import torch
from jaxtyping import Float
from torch import Tensor


class Guess:
    """Where the pilot says that a rank lies; only the cost of a search depends on it, never the result.

    Args:
        radii: of the pilot, `(P,)`.
        epsilon_max: the largest strength to try.
        pace: factor of the first step beyond what the pilot says; it is squared after each.
    """

    def __init__(self, radii: Float[Tensor, " P"], epsilon_max: float, pace: float) -> None:
        self.ranked = radii.clamp(max=epsilon_max).sort().values
        self.epsilon_max, self.pace = epsilon_max, pace

    def quantile(self, share: float) -> float:
        """The strength that fools this share of the pilot; where that is 0, an eighth of the range."""
        value = float(torch.quantile(self.ranked, min(max(share, 0.0), 1.0)))
        return value if value > 0 else self.epsilon_max / 8

    def beyond(self, strength: float, surplus: float) -> float:
        """A strength on the other side of the rank, when `surplus` too many were fooled at this one."""
        share = float((self.ranked <= strength).double().mean()) - surplus
        pace, self.pace = self.pace, self.pace**2
        if surplus > 0:
            return min(self.quantile(share - 0.03), strength / pace)
        return min(max(self.quantile(share + 0.03), strength * pace), self.epsilon_max)

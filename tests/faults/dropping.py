"""A network with state beside its weights, and with random numbers of its own."""

from torch import Tensor, nn


class Dropping(nn.Module):
    """Of digits: running statistics, and dropout from the global random numbers.

    Args:
        hidden: units.
    """

    def __init__(self, hidden: list[int]) -> None:
        super().__init__()
        (units,) = hidden
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(64, units), nn.BatchNorm1d(units), nn.Dropout(0.3), nn.Linear(units, 10)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.layers(x)

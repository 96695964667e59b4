"""Networks by the name that their library gives them, and what the library says of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from training.networks.build import build_network
from training.networks.normalization import Normalization


@dataclass(frozen=True)
class FoundNetwork:
    """A network, and what is said of the inputs that it was trained with.

    Attributes:
        network: from inputs to logits.
        normalization: that its weights were trained with; None if inputs go in as they are, or nobody says.
        said_by: what says so, for people; empty if nothing does.
    """

    network: nn.Module
    normalization: Normalization | None = None
    said_by: str = ""


def find_network(
    name: str,
    *,
    shape: Sequence[int],
    num_classes: int,
    bounds: tuple[float, float],
    pretrained: bool = False,
    **options: Any,
) -> FoundNetwork:
    """A network by name, see `build_network`.

    Args:
        name: of the network.
        shape: of one input.
        num_classes: C ≥ 2.
        bounds: of the data.
        pretrained: with the weights that the library or the folder has for it.
        options: what the network itself takes.
    """
    return FoundNetwork(build_network(name, shape=shape, num_classes=num_classes, bounds=bounds, **options))

"""Weights under the names of widely used public programs, given the names of ours."""

from collections.abc import Mapping

from torch import Tensor


def translated(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The same weights under the names of a network of ours; None where no public form is recognised.

    Args:
        weights: without any prefix.
        wanted: state dict of the network.
    """
    return None

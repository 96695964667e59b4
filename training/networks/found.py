"""A network that was found by its name, and what is said of the inputs that it was trained with."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from torch import nn

from training.networks.normalization import Normalization


@dataclass(frozen=True)
class FoundNetwork:
    """A network, and what is said of the inputs that it was trained with.

    Attributes:
        network: from inputs to logits.
        normalization: that its weights were trained with, of inputs in [0, 1]; None if inputs go in as they are, or
            nobody says.
        said_by: what says so, for people; empty if nothing does.
        outputs: how many it has; None if only a call would tell.
    """

    network: nn.Module
    normalization: Normalization | None = None
    said_by: str = ""
    outputs: int | None = None


def as_said(mean: Iterable[float], std: Iterable[float]) -> Normalization | None:
    """A normalisation as a library says it; None for the one that changes nothing."""
    said = Normalization(tuple(map(float, mean)), tuple(map(float, std)))
    return None if set(said.mean) == {0.0} and set(said.std) == {1.0} else said


def similar(name: str, names: Iterable[str], count: int = 6) -> str:
    """What there is of a similar name, in words; the first few where nothing is similar."""
    known = sorted(names)
    close = get_close_matches(name, known, n=count, cutoff=0.5)
    shown = close or known[:count]
    more = f" and {len(known) - len(shown)} more" if len(known) > len(shown) else ""
    return ", ".join(shown) + more

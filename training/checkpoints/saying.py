"""Who says how inputs are normalised: the user, the file, the library, or nobody. It is never guessed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from training.checkpoints.beside import normalization_beside
from training.checkpoints.normalizers import AS_THEY_ARE, Found, of_network
from training.networks.libraries import FoundNetwork
from training.networks.normalization import Normalization, normalization_of

OPTION = "--normalize"
"""How a user says it."""


@dataclass(frozen=True)
class Said:
    """What is said of the inputs of a network.

    Attributes:
        normalization: that has to be put before it; None for none.
        by: what says so, for people; empty if nothing does.
        inside: whether the network normalises by itself, or needs no normalisation.
    """

    normalization: Normalization | None = None
    by: str = ""
    inside: bool = False


def said_by_library(found: FoundNetwork, own_weights: bool) -> tuple[Said, tuple[str, ...]]:
    """What a library says of a network, and a note where that is of other weights.

    Args:
        found: the network.
        own_weights: whether it has the library's weights, which is what a normalisation is said of.
    """
    if found.normalization is None:
        return Said(None, found.said_by, inside=bool(found.said_by)), ()
    if own_weights:
        return Said(found.normalization, found.said_by), ()
    return Said(), (
        f"{found.said_by} says {found.normalization} of the library's own weights, and nothing of those in the file.",
    )


def said_by_network(network: nn.Module, shape: Sequence[int]) -> tuple[Said, tuple[str, ...]]:
    """What a network says whose own buffers are a mean and a deviation: then it takes inputs in [0, 1].

    Args:
        network: with its weights.
        shape: of one input.
    """
    found = of_network(network, shape[0])
    if found is None:
        return Said(), ()
    by = f"{' and '.join(found.names)} in the network itself"
    return Said(AS_THEY_ARE, by, inside=True), (f"By {by}, {found.normalization}, it takes inputs in [0, 1].",)


def said_by_file(normalizers: Sequence[Found], checkpoint: Path) -> tuple[Said, tuple[str, ...]]:
    """What a file says beside its weights, or the folder that it lies in.

    Raises:
        ValueError: if it says two things.
    """
    different = list(dict.fromkeys(found.normalization for found in normalizers))
    if len(different) > 1:
        raise ValueError(
            f"{checkpoint} should say one normalisation. Found {' and '.join(map(str, different))}, under "
            f"{[found.names[0] for found in normalizers]}. Say it with `normalize` ({OPTION})."
        )
    if different:
        return Said(different[0], f"{' and '.join(normalizers[0].names)} in the file"), (str(normalizers[0]),)
    normalization, file = normalization_beside(checkpoint)
    if normalization is None:
        return Said(), ()
    return Said(normalization, f"{file} beside the weights"), (f"{file} says of inputs in [0, 1]: {normalization}.",)


def settled(network: Said, file: Said, normalize: Any) -> tuple[Said, tuple[str, ...]]:
    """What holds, of all that is said, and a note where somebody is not believed.

    Args:
        network: what is said of the network.
        file: what the file says.
        normalize: what the user says, in any form that `normalization_of` takes; None for nothing.

    Raises:
        ValueError: if inputs would be normalised twice.
    """
    given = None if normalize is None else normalization_of(normalize)
    if network.inside:
        twice = f"Found {given}" if given else f"Found {file.normalization} ({file.by})" if file.normalization else ""
        if twice:
            raise ValueError(
                f"`normalize` should be none: {network.by} says that the network takes inputs as they are. {twice}, "
                "which would normalise them twice."
            )
        return network, ()
    said = file if file.by else network
    if normalize is None:
        return said, ()
    doubted = said.by and said.normalization != given
    note = f"{said.by} says {said.normalization}; {given or 'none'} was taken, as {OPTION} says."
    return Said(given, OPTION), (note,) if doubted else ()

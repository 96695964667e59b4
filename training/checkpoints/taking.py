"""What lies beside the weights that a network takes: known and passed over, or unknown and refused."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.checkpoints.matching import Fit, Weights, is_count, is_count_of_averages
from training.checkpoints.mismatch import difference, in_short
from training.checkpoints.normalizers import Found, normalizers

BYSTANDER = re.compile(
    r"(.*_)?(criterion|criteria|loss(es)?|metrics?|acc(uracy)?\d*|auroc|auc|f1|confmat|confusion_matrix|top\d+)(_.*)?"
)
"""Parts of a training program's names that no logit depends on: losses and scores."""


@dataclass(frozen=True)
class Taken:
    """What came with the weights.

    Attributes:
        normalizers: that lay beside them.
        notes: sentences that a user should read.
    """

    normalizers: tuple[Found, ...] = ()
    notes: tuple[str, ...] = ()


def taken(fit: Fit, others: Sequence[Fit], wanted: Weights, path: Path, where: str, key: str | None) -> Taken:
    """What came with weights that fit, all else being known or refused.

    Args:
        fit: the weights.
        others: the same numbers elsewhere in the set.
        wanted: state dict of the network.
        path: of the file, for messages.
        where: the key that takes the weights.
        key: that the user gave; then what lies beside is passed over.

    Raises:
        ValueError: if something lies beside them that nobody knows, unless a key was given; or among them.
    """
    again = frozenset[str]().union(*(other.used for other in others))
    beside = {name: value for name, value in fit.beside.items() if name not in again}
    found = normalizers(beside)
    names = {name for one in found for name in one.names}
    left = [name for name in sorted(beside) if name not in names and not is_count(name)]
    left = [name for name in left if not is_count_of_averages(name)]
    unknown = [name for name in left if not any(map(BYSTANDER.fullmatch, name.split(".")))]
    if inside := [name for name in unknown if name.startswith(fit.prefix)]:
        whole = fit.weights | {name.removeprefix(fit.prefix): beside[name] for name in inside}
        raise ValueError(f"{path} does not match the network. {difference([whole], wanted)}")
    if unknown and key is None:
        raise ValueError(
            f"{path} holds more than the network takes, as under {in_short(unknown)}. Those under {[where]} fit: "
            f"take them with `key`, such as key={where!r} (--key {where}), if the network can do without the others."
        )
    passed = [f"Weights that the network does not take were passed over: {in_short(left)}."] if left else []
    ahead = [] if found else _ahead(fit.prefix)
    return Taken(tuple(found), (*_precision(fit.weights, wanted), *passed, *ahead))


def _ahead(prefix: str) -> list[str]:
    """A note where the network was no first part of a Sequential, so that something without weights was."""
    if not any(part.isdigit() and int(part) > 0 for part in prefix.split(".")):
        return []
    return [
        f"Names begin with {prefix}: something without weights stood before the network, and may have normalised its "
        "inputs."
    ]


def _precision(weights: Weights, wanted: Weights) -> Iterable[str]:
    """How numbers were converted, where they were."""
    kinds = {
        (value.dtype, wanted[name].dtype)
        for name, value in weights.items()
        if value.is_floating_point() and value.dtype != wanted[name].dtype
    }
    for found, needed in sorted(kinds, key=str):
        how = "narrowed" if found.itemsize > needed.itemsize else "widened"
        yield f"Weights of {str(found).removeprefix('torch.')} were {how} to {str(needed).removeprefix('torch.')}."

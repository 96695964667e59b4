"""Weights of a file under the names of a network: whatever stands before their names, and what lies beside them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from training.checkpoints.normalizers import pairs
from training.networks.public_names import translated

Weights = dict[str, Tensor]

WRAPPING = ("_checkpoint_wrapped_module", "_fsdp_wrapped_module", "_orig_mod")
"""Parts that torch's wrappers put into names, wherever a wrapped part stands."""
PARALLEL = "module"
"""What DataParallel puts into names; a network's own part may be called so too."""
LEAST = 3
"""One in so many of a file's names must stand behind a prefix for another program's names to be looked for there."""


@dataclass(frozen=True)
class Fit:
    """Weights of a file that fit a network.

    Attributes:
        weights: under the names of the network.
        prefix: of their names in the file, with its dot; empty if they have none.
        used: their names in the file.
        beside: all others that lie in the same set, by their names in the file.
    """

    weights: Weights
    prefix: str
    used: frozenset[str]
    beside: Weights

    def same_as(self, other: "Fit") -> bool:
        """Whether both hold the same numbers."""
        return self.weights.keys() == other.weights.keys() and all(
            value.dtype == other.weights[name].dtype and _equal(value, other.weights[name])
            for name, value in self.weights.items()
        )


def fits_of(weights: Weights, wanted: Weights, start: str = "") -> list[Fit]:
    """Every part of a set that fits a network; inside of one, no other is looked for.

    As torch does, a batch norm may lack its `num_batches_tracked`. Where no part fits under its own names, the names
    of widely used public programs are tried.

    Args:
        weights: a set of a file.
        wanted: state dict of the network.
        start: what names must begin with.
    """
    for form in _forms(weights):
        if found := _direct(form, wanted, start) or _translated(form, wanted, start):
            return found
    return []


def starts(names: Mapping[str, Tensor]) -> list[str]:
    """All that names begin with, up to a dot; the shortest first, which is nothing."""
    parts = [name.split(".") for name in names]
    found = {"".join(f"{part}." for part in name[:depth]) for name in parts for depth in range(len(name))}
    return sorted(found, key=lambda start: (start.count("."), start))


def behind(weights: Weights, prefix: str) -> Weights:
    """Weights whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def common_starts(names: Mapping[str, Tensor]) -> list[str]:
    """What all names begin with, the longest first; nothing is the last."""
    return [start for start in reversed(starts(names)) if all(name.startswith(start) for name in names)]


def is_count(name: str) -> bool:
    """Whether a batch norm counts its batches there, which no logit depends on."""
    return name.endswith("num_batches_tracked")


def fit_together(found: Tensor, wanted: Tensor) -> bool:
    """Whether torch would copy one to the other without losing more than precision."""
    return found.shape == wanted.shape and kind(found) == kind(wanted)


def kind(weight: Tensor) -> str:
    """What a weight holds; within a kind torch converts, as from float16 to float32, and between them it loses."""
    if weight.is_meta:
        return "no values"
    if weight.is_quantized:
        return "quantised"
    if weight.layout != torch.strided:
        return str(weight.layout).removeprefix("torch.")
    return "complex" if weight.is_complex() else "floating-point" if weight.is_floating_point() else "whole numbers"


def _forms(weights: Weights) -> Iterator[Weights]:
    """The names as they are, without what torch's wrappers put into them, and without DataParallel's part too."""
    seen = [weights]
    yield weights
    for parts in (WRAPPING, (*WRAPPING, PARALLEL)):
        form = {".".join(part for part in name.split(".") if part not in parts): weights[name] for name in weights}
        if len(form) == len(weights) and not any(form.keys() == other.keys() for other in seen):
            seen.append(form)
            yield form


def _direct(weights: Weights, wanted: Weights, start: str) -> list[Fit]:
    """Parts that have the names of the network."""
    found: list[Fit] = []
    for prefix in starts(weights):
        inside = any(prefix.startswith(fit.prefix) for fit in found)
        if prefix.startswith(start) and not inside and (part := _named(behind(weights, prefix), wanted)):
            found.append(_fit(part[0], prefix, part[1], weights))
    return found


def _named(part: Weights, wanted: Weights) -> tuple[Weights, set[str]] | None:
    """Weights under the names of the network, and which names of the part they had; None if they do not fit."""
    for own in common_starts(wanted):
        taken = {own + name: name for name in part if own + name in wanted}
        complete = all(name in taken or is_count(name) for name in wanted)
        if complete and all(_fits(part[taken[name]], wanted[name], name) for name in taken):
            return {name: part[taken[name]] for name in taken}, set(taken.values())
    return None


def _fits(found: Tensor, wanted: Tensor, name: str) -> bool:
    return fit_together(found, wanted) or (is_count(name) and found.shape == wanted.shape and not found.is_meta)


def _translated(weights: Weights, wanted: Weights, start: str) -> list[Fit]:
    """The part that has the names of a public program, from the outside in."""
    aside = {*chain.from_iterable(pairs(weights)), *filter(is_count_of_averages, weights)}
    named = {name: value for name, value in weights.items() if name not in aside}
    for prefix in starts(named):
        part = behind(named, prefix)
        if not prefix.startswith(start) or LEAST * len(part) < len(named):
            continue
        for own in common_starts(wanted):
            renamed = translated(part, behind(wanted, own)) or {}
            if found := _named(renamed, wanted):
                return [_fit(found[0], prefix, {*part}, weights)]
    return []


def _fit(found: Weights, prefix: str, names: set[str], weights: Weights) -> Fit:
    used = frozenset(prefix + name for name in names)
    return Fit(found, prefix, used, {name: value for name, value in weights.items() if name not in used})


def is_count_of_averages(name: str) -> bool:
    """What torch's AveragedModel keeps beside the weights."""
    return name.split(".")[-1] == "n_averaged"


def _equal(one: Tensor, other: Tensor) -> bool:
    """Whether two weights hold the same; NaN, as in a training that collapsed, is the same as NaN."""
    if one.shape != other.shape or not one.is_floating_point():
        return torch.equal(one, other)
    return torch.equal(one.isnan(), other.isnan()) and torch.equal(one.nan_to_num(), other.nan_to_num())

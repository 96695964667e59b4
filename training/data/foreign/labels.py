"""Labels and names of classes, as data sets of other libraries list them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import ConcatDataset, Subset

from generators.progress import stepwise
from training.data.foreign.reading import Reading, whole

KNOWN = ("targets", "labels", "_labels", "samples", "_samples", "imgs")
"""Attributes in which data sets keep their labels, or pairs of file and label."""

Labels = list[int | str]


def all_labels(items: Any, reading: Reading, source: str, chosen: Int[Tensor, " N"] | None = None) -> Labels:
    """The labels of some items: those that the data set lists, else every item is read once.

    Args:
        items: a map-style data set.
        reading: how an item becomes a label.
        source: of the items, for messages.
        chosen: indices of the items; all if not given.
    """
    indices = range(len(items)) if chosen is None else chosen.tolist()
    listed = listed_labels(items, reading)
    if listed is not None:
        return [listed[i] for i in indices]
    told = f"{source}: reading all {len(indices)} items for their labels, as no `targets` lists them"
    return [reading.label_of(items[i]) for i in stepwise(indices, len(indices), "item", told)]


def listed_labels(items: Any, reading: Reading) -> Labels | None:
    """The labels that a data set lists beside its items, if it does, and its first items and the last agree."""
    found = _listed(items)
    if found is None or len(found) != len(items) or not found:
        return None
    probes = sorted({*range(min(4, len(found))), len(found) - 1})
    return found if all(reading.label_of(items[i]) == found[i] for i in probes) else None


def _listed(items: Any) -> Labels | None:
    """The labels in an attribute of a data set, of a part of one, or of several in a row."""
    for name in KNOWN:
        found = _as_list(getattr(items, name, None))
        if found is not None and len(found) == len(items):
            return found
    if isinstance(items, Subset):
        whole_set = _listed(items.dataset)
        return None if whole_set is None else [whole_set[i] for i in items.indices]
    if isinstance(items, ConcatDataset):
        parts = [_listed(part) for part in items.datasets]
        return None if None in parts else [label for part in parts if part is not None for label in part]
    return None


def _as_list(found: Any) -> Labels | None:
    """Labels of a tensor, an array, a list, or a list of pairs of file and label; None if they are no labels."""
    if isinstance(found, Mapping | str) or not hasattr(found, "__len__"):
        return None
    try:
        plain = found.tolist() if hasattr(found, "tolist") else [*found]
        if plain and all(isinstance(part, tuple) and len(part) == 2 for part in plain):
            plain = [label for _, label in plain]
        return [label if isinstance(label, str) else whole(label) for label in plain]
    except (TypeError, ValueError):
        return None


def class_names(*holders: Any) -> tuple[str, ...] | None:
    """The names of the classes that one of some objects says, or the data set it is made of; None if none does.

    Args:
        holders: data sets, and modules that hold them.
    """
    for holder in holders:
        for part in _inner(holder):
            found = _names(part)
            if found is not None:
                return found
    return None


def _inner(holder: Any) -> Iterator[Any]:
    """A data set, and those it is made of."""
    while holder is not None:
        yield holder
        several = getattr(holder, "datasets", None)
        holder = several[0] if isinstance(several, Sequence) and several else getattr(holder, "dataset", None)


def _names(holder: Any) -> tuple[str, ...] | None:
    """The names of classes in the attributes of a data set."""
    for name in ("classes", "class_names", "categories"):
        found = getattr(holder, name, None)
        if isinstance(found, Sequence) and not isinstance(found, str) and len(found) > 1:
            return tuple(", ".join(part) if isinstance(part, tuple) else str(part) for part in found)
    numbers = getattr(holder, "class_to_idx", None)
    if isinstance(numbers, Mapping) and sorted(numbers.values()) == [*range(len(numbers))] and len(numbers) > 1:
        return tuple(str(name) for name in sorted(numbers, key=lambda name: numbers[name]))
    for name in ("num_classes", "n_classes", "classes"):
        count = getattr(holder, name, None)
        if isinstance(count, int) and count > 1:
            return numbered(count)
    return None


def numbered(count: int) -> tuple[str, ...]:
    """Names of classes that have none."""
    return tuple(map(str, range(count)))


def classes_from(labels: Labels, source: str) -> tuple[str, ...]:
    """The classes of some labels: the names in them, sorted, or as many as the largest number says.

    Raises:
        ValueError: if numbers and names are mixed, or a number is below 0.
    """
    if all(isinstance(label, str) for label in labels):
        return tuple(sorted({str(label) for label in labels}))
    numbers = torch.tensor([label if isinstance(label, int) else -1 for label in labels])
    if int(numbers.min()) < 0:
        raise ValueError(
            f"{source}: labels should be whole numbers from 0, or all of them names. Found "
            f"{labels[int(numbers.argmin())]!r}. Number the classes from 0."
        )
    return numbered(max(2, int(numbers.max()) + 1))

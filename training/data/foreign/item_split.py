"""A split whose samples are the items of somebody's data set, read when they are asked for."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from training.data.foreign.labels import all_labels
from training.data.foreign.ranges import Normalizes, clipped, within
from training.data.foreign.reading import Reading, item_of, told
from training.data.split import Batch, Bounds, LazySplit


class ItemSplit(LazySplit):
    """Samples that are items of a data set of any library.

    Args:
        items: the data set.
        reading: how an item becomes an input and a label.
        bounds: lowest and highest legal value of an input.
        shape: of every input.
        classes: their names, in the order of the labels.
        chosen: indices of the items that take part; all if not given.
        source: of the items, for messages.
        normalizes: what the data set is known to normalise by, for messages.
    """

    def __init__(
        self,
        items: Any,
        reading: Reading,
        bounds: Bounds,
        *,
        shape: tuple[int, ...],
        classes: tuple[str, ...],
        chosen: Int[Tensor, " N"] | None = None,
        source: str = "data",
        normalizes: Normalizes = None,
    ) -> None:
        self.items, self.reading, self.bounds, self.shape = items, reading, bounds, shape
        self.classes, self.source, self.normalizes = classes, source, normalizes
        self.chosen = torch.arange(len(items)) if chosen is None else chosen
        self._labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def labels(self) -> Int[Tensor, " N"]:
        """All labels; where the data set does not list them, each item is read once."""
        if self._labels is None:
            every = all_labels(self.items, self.reading, self.source, self.chosen)
            self._labels = torch.tensor([self._number(label, i) for i, label in enumerate(every)], dtype=torch.int64)
        return self._labels

    @labels.setter
    def labels(self, labels: Int[Tensor, " N"]) -> None:
        self._labels = labels

    def read(self, indices: Sequence[int]) -> Float[Tensor, "B *shape"]:
        """The inputs of some indices."""
        return self._inputs(self._items(indices), indices)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """A batch by indices; every item is read once."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        items = self._items(index.tolist())
        found = [self._told(self.reading.label_of, item, i) for i, item in zip(index.tolist(), items, strict=True)]
        y = torch.tensor([self._number(label, i) for i, label in zip(index.tolist(), found, strict=True)]).long()
        if self._labels is not None and not torch.equal(y, self._labels[index]):
            raise ValueError(
                f"{self.source}: labels of items should be those that the data set lists. Found {y.tolist()[:8]} and "
                f"{self._labels[index].tolist()[:8]}. Remove what changes one of them."
            )
        return Batch(self._inputs(items, index.tolist()), y, index)

    def _items(self, indices: Sequence[int]) -> list[Any]:
        """Items of some indices, read from the first to the last, as batches and files lie."""
        found = {i: item_of(self.items, int(self.chosen[i]), self.source) for i in sorted({*indices})}
        return [found[i] for i in indices]

    def _told(self, read: Callable[[Any], Any], item: Any, index: int) -> Any:
        return told(read, item, int(self.chosen[index]), self.source)

    def _inputs(self, items: Sequence[Any], indices: Sequence[int]) -> Float[Tensor, "B *shape"]:
        values = [self._told(self.reading.values, item, i) for i, item in zip(indices, items, strict=True)]
        for i, value in zip(indices, values, strict=True):
            if tuple(value.shape) != self.shape:
                raise ValueError(
                    f"{self.source}, item {int(self.chosen[i])}: all inputs should have the first one's shape "
                    f"{self.shape}. Found {tuple(value.shape)}. {remedy(self.shape, tuple(value.shape))}"
                )
        if not values:
            return torch.empty(0, *self.shape)
        return clipped(mapped(values, self.bounds), self.bounds, self.source, self.normalizes)

    def _number(self, label: int | str, index: int) -> int:
        """A label as the number of its class.

        Raises:
            ValueError: if there is no such class.
        """
        number = self.classes.index(label) if label in self.classes and isinstance(label, str) else label
        if isinstance(number, int) and 0 <= number < len(self.classes):
            return number
        raise ValueError(
            f"{self.source}, item {int(self.chosen[index])}: labels should lie in [0, {len(self.classes)}), or name "
            f"a class. Found {label!r}. Number the classes from 0, or name all of them in `classes`."
        )


def mapped(values: Sequence[Shaped[Tensor, "*shape"]], bounds: Bounds) -> Float[Tensor, "B *shape"]:
    """Inputs of one shape in the unit of the bounds; those of one kind are mapped together."""
    if len({value.dtype for value in values}) == 1:
        return within(torch.stack([*values]), bounds)
    return torch.stack([within(value, bounds) for value in values])


def remedy(wanted: tuple[int, ...], found: tuple[int, ...]) -> str:
    """What helps where two inputs differ in shape."""
    if len(wanted) == len(found) == 3 and wanted[1:] == found[1:]:
        return "Say how many `channels` all should have, or convert them in the data set."
    return "Give `size` (and `resize`), or resize them in the data set."

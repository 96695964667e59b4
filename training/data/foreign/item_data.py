"""Base of data sets whose samples are the items of somebody else's data set."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import TensorDataset

from training.data.checks import check_samples, validation_divided
from training.data.dataset import DataSet
from training.data.foreign.item_split import ItemSplit
from training.data.foreign.labels import all_labels, class_names, classes_from, numbered
from training.data.foreign.pixels import channels_last
from training.data.foreign.ranges import checked_bounds, doubts, within
from training.data.foreign.reading import Reading, item_of, told
from training.data.foreign.steadiness import check_steady, randomness_kept
from training.data.foreign.transforms import normalizing
from training.data.split import Bounds, Split, SplitName

LOOKED = 8
"""First items from which shape, range and layout are seen."""


class ItemData(DataSet):
    """Samples that are the items of a data set of any library: derive from it, override `items`, call `look`.

    Attributes:
        notes: what a user should know of how the samples are read, each a sentence.

    Args:
        name: as it stands in tables.
        bounds: lowest and highest legal value of an input; None is refused with what the first samples say.
        classes: their names, or how many there are; asked of the data set, or of all its labels, if not given.
        reading: how an item becomes an input and a label.
        validation_share: of the training items, kept by a fixed shuffle where there are none for validation; None
            keeps none.
        batch_size: samples per training step.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples.
        workers: processes that read and prepare batches.
    """

    def __init__(
        self,
        name: str,
        *,
        bounds: Sequence[float | int] | None,
        classes: Sequence[str] | int | None = None,
        reading: Reading | None = None,
        validation_share: float | None = None,
        batch_size: int = 64,
        eval_batch_size: int = 128,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, workers)
        if validation_share is not None and not 0 < validation_share < 1:
            raise ValueError(f"`validation_share` should lie in (0, 1). Found {validation_share}.")
        self.name, self.reading, self.validation_share = name, reading or Reading(), validation_share
        self.notes = ()
        self._wanted_bounds, self._wanted_classes = bounds, classes
        self._items: dict[SplitName, Any] = {}

    def items(self, name: SplitName) -> Any:
        """The items of a split, with `len` and an index, asked for once; None where there are none."""
        raise NotImplementedError

    def class_holders(self, items: Any) -> tuple[Any, ...]:
        """What may say the names of the classes."""
        return (items,)

    def look(self, *order: SplitName) -> None:
        """Take shape, bounds and classes from the first split that there is.

        Args:
            order: in which splits are tried.

        Raises:
            ValueError: if there is none, or its first items cannot be right.
        """
        name = next((name for name in order if self._items_of(name) is not None), None)
        if name is None:
            raise ValueError(f"{self.name}: should hold samples. Found none.")
        items, source = self._items_of(name), self._source(name)
        values = self._first_values(items, source)
        self.shape = tuple(values[0].shape)
        self.bounds: Bounds = checked_bounds(self._wanted_bounds, values, source, normalizing(items))
        self.classes = self._classes(items, source)
        self.notes += tuple(doubts(values, self.bounds, source))

    def _first_values(self, items: Any, source: str) -> list[Tensor]:
        """The first inputs, in the layout and with the channels that all shall have."""
        if not len(items):
            raise ValueError(f"{source}: should hold at least one sample. Found none.")
        with randomness_kept():
            first = range(min(LOOKED, len(items)))
            values = [told(self.reading.values, item_of(items, i, source), i, source) for i in first]
        if all(channels_last(tuple(value.shape)) for value in values):
            self.reading = replace(self.reading, turn=True)
            self.notes += (f"{source}: inputs come as height × width × channels, and are turned to channels first",)
            values = [value.permute(2, 0, 1) for value in values]
        channels = {value.shape[0] for value in values if value.ndim == 3}
        if self.reading.channels is None and channels == {1, 3}:
            self.reading = replace(self.reading, channels=3)
            self.notes += (f"{source}: grey images among coloured ones get three equal channels",)
            values = [value.expand(3, -1, -1) for value in values]
        return values

    def _classes(self, items: Any, source: str) -> tuple[str, ...]:
        wanted = self._wanted_classes
        if isinstance(wanted, int):
            wanted = numbered(wanted)
        if wanted is not None and len(wanted) < 2:
            raise ValueError(f"`classes` should be at least two. Found {len(wanted)}.")
        found = tuple(wanted) if wanted else class_names(*self.class_holders(items))
        return found or classes_from(all_labels(items, self.reading, source), source)

    def _source(self, name: SplitName) -> str:
        return f"{self.name} ({name})"

    def _items_of(self, name: SplitName) -> Any:
        if name not in self._items:
            self._items[name] = self.items(name)
        return self._items[name]

    def make_split(self, name: SplitName) -> Split:
        """The samples of a split, once its items are known to be the same each time."""
        items, chosen = self._chosen(name)
        source = self._source(name)
        check_steady(items, self.reading, source)
        self._check_classes(items, source)
        self.notes += tuple(f"{source}: {note}" for note in getattr(items, "notes", ()))
        if type(items) is TensorDataset and len(items.tensors) > 1:
            return self._in_memory(items, chosen, source)
        return ItemSplit(
            items,
            self.reading,
            self.bounds,
            shape=self.shape,
            classes=self.classes,
            chosen=chosen,
            source=source,
            normalizes=normalizing(items),
        )

    def _chosen(self, name: SplitName) -> tuple[Any, Int[Tensor, " N"] | None]:
        """The items that hold a split, and which of them are its samples."""
        items = self._items_of(name)
        shared = self.validation_share is not None and self._items_of("validation") is None and name != "test"
        if shared and self._items_of("train") is not None:
            items = self._items_of("train")
            rest, kept = validation_divided(len(items), self.validation_share or 0.0, self.name)
            return items, kept if name == "validation" else rest
        if items is None:
            given = [other for other in ("train", "validation", "test") if self._items_of(other) is not None]
            raise ValueError(
                f"{self.name}: there are no {name} samples. Found {' and '.join(given)}. {self.remedy(name)}"
            )
        return items, None

    def remedy(self, name: SplitName) -> str:
        """What a user does who needs the samples of a split that is not there."""
        return f"Name them in `{name}`, or measure another `split`."

    def _check_classes(self, items: Any, source: str) -> None:
        """The same number must mean the same class in every split."""
        found = class_names(*self.class_holders(items)) if self._wanted_classes is None else None
        if self.classes == numbered(self.num_classes) and len(found or ()) == self.num_classes:
            return  # nobody says names of the others
        if found is not None and found != self.classes:
            raise ValueError(
                f"{source}: its classes should be those of the other splits, {_some(self.classes)}. "
                f"Found {_some(found)}. Name all of them in `classes` if labels mean the same."
            )

    def _in_memory(self, items: TensorDataset, chosen: Tensor | None, source: str) -> Split:
        """Samples that are in memory anyway; bytes stay bytes."""
        x, y = items.tensors[:2]
        x, y = (x, y) if chosen is None else (x[chosen], y[chosen])
        x = x.permute(0, 3, 1, 2) if self.reading.turn else x
        x = x if x.dtype == torch.uint8 else within(x, self.bounds).float()
        check_samples(x, y, self.num_classes, self.bounds, source)
        return Split(x, y.reshape(-1), self.bounds)


def _some(names: tuple[str, ...]) -> str:
    """A few names, and how many there are."""
    return f"{', '.join(names[:3])}{', …' if len(names) > 3 else ''} ({len(names)})"

"""Any data that a user holds in Python, as a data set."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from training.data.dataset import DataSet
from training.data.foreign.hub_rows import HubRows, is_hub
from training.data.foreign.item_data import ItemData
from training.data.foreign.loaders import LoaderItems
from training.data.foreign.modules import ModuleParts
from training.data.foreign.reading import Reading
from training.data.foreign.streams import held
from training.data.split import SplitName

SPLITS: Mapping[str, SplitName] = {
    "train": "train", "training": "train", "validation": "validation", "val": "validation", "valid": "validation",
    "dev": "validation", "test": "test",
}  # fmt: skip
"""Names of splits, as libraries write them."""

Source = Callable[[], Any]


class GivenData(ItemData):
    """Data in the hands of a user, as `data_set_of` takes them.

    Args:
        sources: of each split that there is, what returns its items.
        holder: what may say the classes besides the items.
        name: as it stands in tables.
        bounds: lowest and highest legal value of an input.
        classes: their names.
    """

    def __init__(
        self,
        sources: Mapping[SplitName, Source],
        *,
        holder: Any = None,
        name: str,
        bounds: Sequence[float | int] | None,
        classes: Sequence[str] | None = None,
    ) -> None:
        super().__init__(name, bounds=bounds, classes=classes)
        self.sources, self.holder = dict(sources), holder
        self.arguments = {}  # the samples themselves say what they are
        self.look("test", "validation", "train")
        self._take_from_loader()

    def _take_from_loader(self) -> None:
        """Batches as large as those of a loader that was given, made by as many processes."""
        for items in self._items.values():
            if isinstance(items, LoaderItems):
                self.eval_batch_size = items.size or self.eval_batch_size
                self.workers = min(items.workers, os.cpu_count() or 1)

    def items(self, name: SplitName) -> Any:
        """The items of a split."""
        source = self.sources.get(name)
        return None if source is None else source()

    def class_holders(self, items: Any) -> tuple[Any, ...]:
        """What may say the names of the classes."""
        return (self.holder, items)

    def remedy(self, name: SplitName) -> str:
        """What a user does who needs the samples of a split that is not there."""
        both = "Give them, as {'test': …}" if name == "test" else f"Give both, as {{'{name}': …, 'test': …}}"
        return f"{both}, or measure another `split`."


def data_set_of(
    data: Any,
    *,
    bounds: Sequence[float | int] | None = None,
    classes: Sequence[str] | None = None,
    name: str | None = None,
) -> DataSet:
    """Any data as a data set of ours.

    Args:
        data: one of these, or a mapping of "train", "validation" and "test" to them:

            - a data set of ours, which is taken as it is;
            - tensors or arrays `(x, y)`;
            - anything with a length and an index whose items are (input, label, …) or mappings with both, such as
              data sets of torch, torchvision and Hugging Face; inputs are images of Pillow, tensors or arrays;
            - a DataLoader, whose collate function and batches are kept, in order;
            - a LightningDataModule, which is prepared and set up as Lightning does, for each split when it is needed;
            - batches or items in a list, or in an IterableDataset that ends soon, which are held in memory.

        bounds: lowest and highest legal value of an input, needed for all but a data set of ours, which says it.
            Bytes are mapped to them; floating-point values must lie within.
        classes: their names; the data's own if not given, else as many as the labels say.
        name: as it stands in tables; that of the data's class if not given.

    Returns:
        The data set. Without a mapping all samples are the test split.

    Raises:
        ValueError: if the bounds are missing, or not those of a data set of ours; items change each time they are
            read, have different shapes, or cannot be right.

    Example:
        >>> x, y = torch.rand(6, 1, 2, 2), torch.tensor([0, 1, 2, 0, 1, 2])
        >>> data = data_set_of((x, y), bounds=(0, 1))
        >>> data.num_classes, data.shape, len(data.split("test"))
        (3, (1, 2, 2), 6)
    """
    if isinstance(data, DataSet):
        return _own(data, bounds=bounds, classes=classes, name=name)
    return GivenData(
        sources_of(data),
        holder=data,
        name=name or name_of(data),
        bounds=bounds,
        classes=classes,
    )


def _own(data: DataSet, **said: Any) -> DataSet:
    """A data set of ours, if what is said of it is so.

    Raises:
        ValueError: if it says something else.
    """
    for argument, value in said.items():
        found = getattr(data, argument)
        same = value == found if isinstance(value, str) else value is None or tuple(value) == tuple(found)
        if value is not None and not same:
            raise ValueError(f"`{argument}` should be left out, or be that of {data.name}, {found}. Found {value}.")
    return data


def sources_of(data: Any) -> dict[SplitName, Source]:
    """What returns the items of each split of data in any form.

    Raises:
        ValueError: if a mapping names no splits.
    """
    if isinstance(data, LightningDataModule):
        return cast(dict[SplitName, Source], ModuleParts(data).sources())
    if not isinstance(data, Mapping):
        return {"test": partial(items_of, data)}
    unknown = [name for name in data if SPLITS.get(name) is None]
    if unknown or not data:
        raise ValueError(
            f"`data` should map train, validation or test to samples. Found {', '.join(map(str, data)) or 'nothing'}."
            " Give tensors as (x, y)."
        )
    return {SPLITS[name]: partial(items_of, part) for name, part in data.items()}


def items_of(data: Any) -> Any:
    """The items of one split in any form: what has a length and an index.

    Raises:
        ValueError: if the form is not known.
    """
    reading, source = Reading(), name_of(data)
    if isinstance(data, tuple) and len(data) == 2 and all(isinstance(part, Tensor | np.ndarray) for part in data):
        return _tensors(*data)
    if is_hub(data):
        return HubRows(data)
    if isinstance(data, DataLoader) and not isinstance(data.dataset, IterableDataset):
        return LoaderItems(data, reading)
    if isinstance(data, DataLoader | IterableDataset) or (isinstance(data, list) and data):
        return held(data, reading, source)
    if (
        hasattr(data, "__getitem__")
        and hasattr(data, "__len__")
        and not isinstance(data, str | bytes | Tensor | tuple)
    ):
        return data
    if hasattr(data, "__iter__") and not isinstance(data, str | bytes | Tensor | np.ndarray | tuple):
        return held(data, reading, source)
    raise ValueError(
        "`data` should be a data set, a DataLoader, a LightningDataModule, tensors (x, y), or batches in a list. "
        f"Found {type(data).__name__}."
    )


def _tensors(x: Any, y: Any) -> TensorDataset:
    """Inputs and labels in memory; what is neither bytes nor 16 bit becomes float32.

    Raises:
        ValueError: if they are no numbers, not dense, inputs have one dimension, they differ in number, or labels are
            not whole numbers.
    """
    inputs, labels = _tensor(x, "inputs"), _tensor(y, "labels")
    for part, name in ((inputs, "inputs"), (labels, "labels")):
        if part.layout != torch.strided or part.is_meta:
            raise ValueError(f"`data` should hold dense {name}. Found {part.layout} on the device {part.device}.")
        if part.is_complex():
            raise ValueError(f"`data` should hold real {name}. Found {part.dtype}.")
    inputs, labels = inputs.cpu(), labels.cpu()
    if inputs.ndim < 2 or not labels.ndim or len(inputs) != len(labels) or labels.numel() != len(labels):
        raise ValueError(
            f"`data` should be inputs (N, …) and labels (N,). Found {tuple(inputs.shape)} and {tuple(labels.shape)}."
        )
    if labels.is_floating_point() and not torch.equal(labels, labels.round()):
        raise ValueError("labels should be whole numbers. Found fractions.")
    kept = inputs.dtype in (torch.uint8, torch.uint16)
    return TensorDataset(inputs if kept else inputs.float(), labels.long().reshape(-1))


def _tensor(part: Any, name: str) -> Tensor:
    try:
        return torch.as_tensor(part).detach()
    except TypeError as error:  # of an array of texts or objects
        raise ValueError(
            f"`data` should hold numbers as {name}. Found an array of {part.dtype}. Number classes that have names "
            "from 0, and give the names as `classes`."
        ) from error


def name_of(data: Any) -> str:
    """How data are called in tables: a name of their own, else that of their class, or of the data set inside."""
    if isinstance(data, Mapping) and data:
        return name_of(data.get("test", next(iter(data.values()))))
    if isinstance(data, DataLoader):
        return name_of(data.dataset)
    named = getattr(data, "name", None)
    if isinstance(named, str) and named:
        return named
    return {"tuple": "tensors", "list": "batches"}.get(type(data).__name__, type(data).__name__)

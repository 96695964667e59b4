"""A DataLoader as a map-style data set: its batches, in their order, one sample at a time."""

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import Any

from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, SubsetRandomSampler, default_collate

from training.data.foreign.labels import listed_labels
from training.data.foreign.reading import Reading
from training.data.foreign.steadiness import PROBES, randomness_kept


class LoaderItems(Dataset[Any]):
    """The samples of a loader's batches, as its collate function makes them; a batch is made when one is asked for.

    Where batches are collated as torch does it by default, and nothing happens to them afterwards, a sample is its
    item of the data set, and only that is read.

    Args:
        loader: of a map-style data set.
        reading: how a batch becomes inputs and labels.
        after: what happens to a batch afterwards, such as the hooks of a LightningDataModule.

    Raises:
        ValueError: if the batches hold other samples each time.
    """

    def __init__(self, loader: DataLoader[Any], reading: Reading, after: Callable[[Any], Any] | None = None) -> None:
        self.dataset, self.collate, self.reading, self.after = loader.dataset, loader.collate_fn, reading, after
        self.batches, self.notes = fixed_batches(loader)
        self.size, self.workers = loader.batch_size, loader.num_workers
        self.order = [i for batch in self.batches for i in batch]
        self.one_by_one = after is None and loader.collate_fn is default_collate
        self.ends = [*accumulate(map(len, self.batches))]
        self.probes = [*range(min(PROBES, len(self)))]
        self.forget()

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def forget(self) -> None:
        """Make the next batch anew, even if it is the last one."""
        self.held: tuple[int, Any] = (-1, None)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        if self.one_by_one:
            return self.reading.parts(self.dataset[self.order[index]])
        number = bisect_right(self.ends, index)
        if self.held[0] != number:
            self.held = (number, self._made(number))
        inputs, labels = self.held[1]
        place = index - self.ends[number] + len(self.batches[number])
        return inputs[place], labels[place]

    def _made(self, number: int) -> tuple[Any, Any]:
        """Inputs and labels of a batch."""
        indices = self.batches[number]
        many = getattr(self.dataset, "__getitems__", None)
        batch = self.collate(many(indices) if many else [self.dataset[i] for i in indices])
        inputs, labels = self.reading.parts(batch if self.after is None else self.after(batch))
        if len(inputs) != len(indices) or len(labels) != len(indices):
            raise ValueError(
                f"a batch should hold one sample per item, {len(indices)}. Found {len(inputs)} inputs and "
                f"{len(labels)} labels. Give the data set, or a `collate_fn` that leaves nothing out."
            )
        return inputs, labels

    @property
    def targets(self) -> list[int | str] | None:
        """The labels that the data set lists, in the order of the batches."""
        listed = listed_labels(self.dataset, self.reading)
        return None if listed is None else [listed[i] for i in self.order]


def fixed_batches(loader: DataLoader[Any]) -> tuple[list[list[int]], list[str]]:
    """The indices of a loader's batches in an order that is the same each time, and what a user should know of it.

    Raises:
        ValueError: if it has no batches, or draws other samples each time.
    """
    sampler: Any = loader.batch_sampler
    if sampler is None or isinstance(loader.dataset, IterableDataset):
        raise ValueError("`data` should be a DataLoader with a batch size. Found none. Give its data set instead.")
    order = _unshuffled(loader)
    if order is not None:
        size = loader.batch_size or len(order)
        note = "the DataLoader shuffles: its samples are taken in the order of the data set"
        return [order[start : start + size] for start in range(0, len(order), size)], [note]
    with _generators_kept(loader), randomness_kept():
        once, again = ([[*map(int, batch)] for batch in sampler] for _ in range(2))
    if once != again:
        raise ValueError(
            "`data` should be a DataLoader that visits the same samples each time. Found one whose sampler "
            f"({type(getattr(loader, 'sampler', sampler)).__name__}) draws them. Give it without that sampler."
        )
    left = len(loader.dataset) - sum(map(len, once))  # type: ignore[arg-type]
    dropped = left > 0 and getattr(sampler, "drop_last", False)
    return once, [f"the DataLoader drops the last {left} samples (`drop_last`)"] if dropped else []


def _unshuffled(loader: DataLoader[Any]) -> list[int] | None:
    """The samples of a loader that shuffles, in the order of the data set; None if it is no usual shuffle."""
    sampler: Any = loader.sampler
    size = len(loader.dataset)  # type: ignore[arg-type]
    if type(getattr(loader.batch_sampler, "sampler", None)) is not type(sampler):
        return None
    if isinstance(sampler, RandomSampler) and not sampler.replacement and sampler.num_samples == size:
        return [*range(size)]
    return sorted(map(int, sampler.indices)) if isinstance(sampler, SubsetRandomSampler) else None


class _generators_kept:
    """Puts the generators of a loader back to where they were."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        parts = (loader, loader.sampler, loader.batch_sampler, getattr(loader.batch_sampler, "sampler", None))
        found = [getattr(part, "generator", None) for part in parts]
        self.states = [(generator, generator.get_state()) for generator in found if generator is not None]

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        for generator, state in self.states:
            generator.set_state(state)

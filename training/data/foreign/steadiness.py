"""Whether a data set gives the same items each time they are asked for."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from training.data.foreign.reading import Reading, item_of, told
from training.data.foreign.transforms import random_transforms

PROBES = 8
"""Items that are read again."""
READS = 3
"""How often: a mirror at random stays unseen in all of them once in 65,536 times."""


@contextmanager
def randomness_kept() -> Iterator[None]:
    """Whatever is drawn from the global generators of Python, NumPy and torch is put back afterwards."""
    state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002, which data sets of users draw from
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(state)
            np.random.set_state(numpy_state)  # noqa: NPY002


def check_steady(items: Any, reading: Reading, source: str) -> None:
    """Refuse a data set whose items differ from one time to the next.

    Args:
        items: the data set. Where it has `forget`, that is called before every reading; where it has `probes`, these
            are the indices that are read, else some from first to last.
        reading: how an item becomes an input and a label.
        source: of the items, for the message.

    Raises:
        ValueError: if it augments at random.
    """
    spread = torch.linspace(0, len(items) - 1, PROBES).long().unique().tolist()
    probes = getattr(items, "probes", spread)
    with randomness_kept():
        first = _read(items, reading, probes, source)
        for _ in range(READS - 1):
            for index, once, again in zip(probes, first, _read(items, reading, probes, source), strict=True):
                if not _same(once, again):
                    raise ValueError(
                        f"{source}: an item should be the same each time it is read. Found another item {index}: the "
                        f"data set augments at random{_named(items)}. Give it with the transforms of evaluation."
                    )


def _read(items: Any, reading: Reading, probes: list[int], source: str) -> list[tuple[torch.Tensor, int | str]]:
    """Some items."""
    getattr(items, "forget", lambda: None)()
    found = [(i, item_of(items, i, source)) for i in probes]
    return [
        (told(reading.values, item, i, source).clone(), told(reading.label_of, item, i, source)) for i, item in found
    ]


def _same(once: tuple[torch.Tensor, int | str], again: tuple[torch.Tensor, int | str]) -> bool:
    """Whether two readings are equal; what is no number equals itself."""
    x, other = once[0], again[0]
    equal = x.shape == other.shape and np.array_equal(x.numpy(), other.numpy(), equal_nan=x.is_floating_point())
    return equal and once[1] == again[1]


def _named(items: Any) -> str:
    """The transforms that do it, where they can be seen."""
    names = random_transforms(items)
    return f" ({', '.join(names)})" if names else ""

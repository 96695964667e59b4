"""Any data that a user holds in Python, as a data set."""

from collections.abc import Sequence
from typing import Any

from training.data.dataset import DataSet


def data_set_of(
    data: Any,
    *,
    bounds: tuple[float, float] | None = None,
    classes: Sequence[str] | None = None,
    name: str | None = None,
) -> DataSet:
    """A data set of ours; or tensors (x, y), a Dataset, a DataLoader, a LightningDataModule, as one.

    Args:
        data: one of these.
        bounds: lowest and highest legal value of an input; needed for all but a data set of ours, which says it.
        classes: their names; numbered if not given.
        name: as it stands in tables.

    Raises:
        ValueError: if the bounds are missing, or samples cannot be right.
    """
    if isinstance(data, DataSet):
        return data
    raise ValueError(f"`data` should be a data set. Found {type(data).__name__}.")

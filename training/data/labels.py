"""Labels as people write them: numbers, columns, one-hot rows and names, as numbers from 0."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64, Shaped

SHOWN = 10
"""Most class names in a message."""


def one_per_sample(labels: Shaped[np.ndarray, "N *rest"], source: str | Path) -> Shaped[np.ndarray, " N"]:
    """Labels of shape (N,) from (N,), a column (N, 1) or one-hot rows (N, C); whole numbers become integers.

    Args:
        labels: numbers, truth values or texts.
        source: for the message.

    Raises:
        ValueError: if there are no samples, one has several labels or none, or a number is not whole.
    """
    if labels.size == 0:
        raise ValueError(f"{source}: should hold samples. Found none.")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2:
        labels = _from_one_hot(labels, source)
    if labels.ndim != 1:
        raise ValueError(f"{source}: labels should be one per image. Found shape {labels.shape}.")
    if labels.dtype.kind in "SUOT":
        return np.array([label.decode() if isinstance(label, bytes) else str(label) for label in labels], dtype=str)
    if labels.dtype.kind not in "biuf":
        raise ValueError(f"{source}: labels should be integers or names. Found {labels.dtype}.")
    if labels.dtype.kind == "f":
        _check_whole(labels, source)
    return labels.astype(np.int64)


def _check_whole(labels: np.ndarray, source: str | Path) -> None:
    whole = np.isfinite(labels) & (labels == np.floor(labels))
    if not whole.all():
        raise ValueError(
            f"{source}: labels should be whole numbers. Found {labels[~whole][0]}. Probabilities of classes are no "
            "labels: take the likeliest."
        )


def _from_one_hot(labels: np.ndarray, source: str | Path) -> np.ndarray:
    numbers = labels.dtype.kind in "biuf"
    if not (numbers and ((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all()):
        raise ValueError(
            f"{source}: labels should be one per image, (N,), (N, 1) or one-hot rows. Found {labels.dtype} of shape "
            f"{labels.shape} with other rows. A sample of several classes at once cannot be measured."
        )
    return labels.argmax(axis=1)


def class_names(
    labels: Shaped[np.ndarray, " N"], classes: Sequence[str | int] | None, source: str | Path
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the classes, and a sentence about where they come from.

    Args:
        labels: of `one_per_sample`.
        classes: their names, if somebody gave them.
        source: for the message.

    Raises:
        ValueError: if labels do not number classes from 0 and nobody named them.
    """
    if classes is not None:
        return _given(classes), ()
    if labels.dtype.kind == "U":
        names = tuple(sorted({*labels.tolist()}))
        said = (
            f"{source}: classes are the {len(names)} names found, sorted: {_shown(names)}. `classes` says otherwise."
        )
        return names, (said,)
    lowest, highest = (int(labels.min()), int(labels.max())) if len(labels) else (0, 1)
    if lowest != 0:
        found = [str(label) for label in np.unique(labels)]
        raise ValueError(
            f"{source}: labels should number the classes from 0, as the logits do. Found values from {lowest} to "
            f"{highest}. Name the classes in the order of the logits, such as `classes: [{_shown(found)}]`."
        )
    return tuple(str(number) for number in range(max(highest, 1) + 1)), ()


def _given(classes: Sequence[str | int]) -> tuple[str, ...]:
    names = tuple(str(name) for name in classes)
    if len({*names}) < len(names) or len(names) < 2:
        raise ValueError(f"`classes` should be two or more different names. Found {_shown(names)}.")
    return names


def numbered(labels: Shaped[np.ndarray, " N"], classes: Sequence[str], source: str | Path) -> Int64[np.ndarray, " N"]:
    """Labels as numbers from 0, in the order of the classes.

    Names are looked up. So are numbers where all classes are named by numbers, such as −1 and 1 or 3 and 5.

    Args:
        labels: of `one_per_sample`.
        classes: their names.
        source: for the message.

    Raises:
        ValueError: if a label is none of the classes.
    """
    if labels.dtype.kind != "U" and not all(_is_whole(name) for name in classes):
        return labels
    position = {name: number for number, name in enumerate(classes)}
    values, where = np.unique(labels, return_inverse=True)
    unknown = [str(value) for value in values if str(value) not in position]
    if unknown:
        raise ValueError(_unknown(unknown, labels, classes, source))
    return np.array([position[str(value)] for value in values], np.int64)[where]


def _unknown(unknown: list[str], labels: np.ndarray, classes: Sequence[str], source: str | Path) -> str:
    if labels.dtype.kind == "U":
        remedy = "Name all of them in `classes`, in the order of the logits."
        return f"{source}: labels should be among the classes {_shown(classes)}. Found {_shown(unknown)}. {remedy}"
    if tuple(classes) == tuple(map(str, range(len(classes)))):
        where = f"lie in [0, {len(classes)})"
        remedy = "Number the classes from 0, or name all of them in `classes`."
    else:
        where = f"be among the classes {_shown(classes)}"
        remedy = "Where labels are the places of these names, name the classes by words and not by numbers."
    return f"{source}: labels should {where}. Found values from {labels.min()} to {labels.max()}. {remedy}"


def _is_whole(name: str) -> bool:
    return name.removeprefix("-").isdecimal()


def _shown(names: Sequence[str]) -> str:
    more = f", … ({len(names)} in all)" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more

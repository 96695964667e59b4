"""Under which names files keep images and labels: those given, or the usual ones."""

from collections.abc import Iterable
from pathlib import Path

from training.data.split import SplitName

IMAGES = ("images", "image", "x", "data", "inputs", "features")
LABELS = ("labels", "label", "y", "targets", "target")
WORDS: dict[SplitName, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test",),
}
"""How the names of splits are written in files."""


def own_keys(keys: Iterable[str], split: SplitName, usual: Iterable[str]) -> list[str]:
    """Keys that say a split and one of the usual names, such as `train_images` or `x_train`.

    Example:
        >>> own_keys(["x_train", "x_test", "test_note"], "test", IMAGES)
        ['x_test']
    """
    wanted = {form for word in WORDS[split] for name in usual for form in (f"{word}_{name}", f"{name}_{word}")}
    return [key for key in keys if key.lower() in wanted]


def found_key(
    keys: Iterable[str], given: str | None, split: SplitName, usual: tuple[str, ...], source: str | Path
) -> str:
    """The key of images or of labels.

    Args:
        keys: all that the file holds.
        given: that a user named, if any.
        split: whose images or labels are looked for.
        usual: names, the plural first, which is also the name of the argument.
        source: for the message.

    Raises:
        ValueError: if there is none, or several.
    """
    keys = list(keys)
    found = [given] if given in keys else []
    if given is None:
        found = own_keys(keys, split, usual) or [key for key in keys if key.lower() in usual]
    if len(found) == 1:
        return str(found[0])
    if not found:
        wanted = f"{given!r}" if given else f"`{usual[0]}`"
        raise ValueError(
            f"{source}: should hold {wanted}. Found the keys {sorted(keys)}. Name the right one with `{usual[0]}`."
        )
    raise ValueError(f"{source}: several keys may be the {usual[0]}: {', '.join(found)}. Name one with `{usual[0]}`.")

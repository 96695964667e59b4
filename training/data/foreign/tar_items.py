"""WebDataset's tar files as a map-style data set, through an index of where each file lies."""

import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path
from typing import Any, NamedTuple

from torch.utils.data import Dataset

from training.data.unread import unread

IMAGES = ("jpg", "jpeg", "png", "webp", "ppm", "pgm", "bmp", "tif", "tiff")
"""Endings of images."""
CLASSES = ("cls", "cls2", "class", "label", "index")
"""Endings of files that hold a label as text."""
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class Place(NamedTuple):
    """Where a file lies: number of the tar file, first byte, and how many."""

    tar: int
    start: int
    size: int


def tar_files(patterns: Sequence[str]) -> list[str]:
    """The tar files of some patterns, in order.

    Args:
        patterns: names with `*`, or with ranges such as `train-{0000..0146}.tar`.

    Raises:
        FileNotFoundError: if a pattern has none, or a file of a range is missing.
    """
    found = []
    for pattern in (name for given in patterns for name in _ranged(given)):
        files = [file for file in sorted({*glob(pattern), pattern}) if Path(file).is_file()]
        if not files:
            raise FileNotFoundError(f"{pattern}: no such tar file.")
        found += files
    return found


def _ranged(pattern: str) -> list[str]:
    """The names of a pattern with ranges.

    Example:
        >>> _ranged("a-{08..10}.tar")
        ['a-08.tar', 'a-09.tar', 'a-10.tar']
    """
    found = RANGE.search(pattern)
    if found is None:
        return [pattern]
    first, last = found.groups()
    numbers = [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    return [name for number in numbers for name in _ranged(pattern.replace(found.group(), number, 1))]


class TarItems(Dataset[Any]):
    """Samples of tar files: files that share their name up to its first dot are one.

    The tar files are passed through once, from head to head, for where each file lies; nothing else is kept in
    memory, and a sample is read from its place.

    Args:
        files: the tar files.
        image: ending of the files of inputs; the only one of `IMAGES` in the first sample if not given.
        label: ending of the files of labels, with a key where these are JSON, such as `cls`, `txt` or `json:label`;
            the only one of `CLASSES`, or else `json:label`, if not given.

    Raises:
        ValueError: if a file is no tar file that can be read at any place, a sample lacks its input or label, or it
            cannot be seen which they are.
    """

    def __init__(self, files: Sequence[str], image: str | None = None, label: str | None = None) -> None:
        self.files = [*files]
        self.samples = [*_samples(self.files)]
        if not self.samples:
            raise ValueError(f"{', '.join(self.files[:3])}: should hold samples. Found none.")
        first = self.samples[0]
        ending, _, key = (label or _only(first, CLASSES, "label", otherwise="json") or "").partition(":")
        self.image, self.ending = image or _only(first, IMAGES, "image"), ending
        self.key = key or "label" if ending == "json" else ""
        for sample in self.samples:
            if missing := {self.image, self.ending} - sample.keys():
                tar = self.files[next(iter(sample.values())).tar]
                raise ValueError(
                    f"{tar}: every sample should have a file that ends with .{sorted(missing)[0]}. Found one with "
                    f"{', '.join(sample)}. Leave it out, or say `image` and `label`."
                )

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._read(self.samples[index][self.image]), self.label(index)

    @property
    def targets(self) -> list[Any]:
        """All labels; only their files are read."""
        return [self.label(index) for index in range(len(self))]

    def label(self, index: int) -> Any:
        """The label of a sample: a number, or the name of a class."""
        text = self._read(self.samples[index][self.ending]).decode().strip()
        if self.ending == "json":
            return self._from_json(text, index)
        return int(text) if text.lstrip("-").isdigit() else text

    def _from_json(self, text: str, index: int) -> Any:
        try:
            return json.loads(text)[self.key]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{self.files[self.samples[index][self.ending].tar]}: the JSON of every sample should hold "
                f"{self.key!r}. Found {text[:80]}. Say its key, as in `label: json:key`."
            ) from error

    def _read(self, place: Place) -> bytes:
        with open(self.files[place.tar], "rb") as file:
            file.seek(place.start)
            return file.read(place.size)


def _samples(files: Sequence[str]) -> Iterator[dict[str, Place]]:
    """Places of each sample's files by their endings, of files that follow each other."""
    for number, path in enumerate(files):
        name, sample = "", dict[str, Place]()
        for member in _members(path):
            folder, _, file = member.name.rpartition("/")
            stem, _, ending = file.partition(".")
            if sample and f"{folder}/{stem}" != name:
                yield sample
                sample = {}
            name = f"{folder}/{stem}"
            sample[ending.lower()] = Place(number, member.offset_data, member.size)
        if sample:
            yield sample


def _members(path: str) -> Iterator[tarfile.TarInfo]:
    """The files of a tar file that is not compressed.

    Raises:
        ValueError: if it is another one.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            yield from (member for member in tar if member.isfile() and not Path(member.name).name.startswith("."))
            _check_end(path, tar.offset)
    except tarfile.TarError as error:
        if "end of data" in str(error):
            raise ValueError(unread(path, "a tar file", "it is cut off")) from error
        raise ValueError(
            f"{path}: should be a tar file without compression, so that samples can be read from their places. Found "
            f"another ({error}). Unpack it first, with gunzip or zstd."
        ) from error


def _check_end(path: str, end: int) -> None:
    """Refuse a file of which a part is missing after its last whole member, as tarfile does not.

    Args:
        path: of the tar file.
        end: of the last member, where zeros should follow.

    Raises:
        ValueError: if the file ends there or before, or goes on with something else.
    """
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(end)
        if size <= end or any(file.read(tarfile.BLOCKSIZE)):
            raise ValueError(unread(path, "a tar file", f"it is cut off or damaged after {min(size, end):,} bytes"))


def _only(sample: dict[str, Place], usual: Sequence[str], what: str, otherwise: str = "") -> str:
    """The only usual ending in a sample.

    Raises:
        ValueError: if there is none, or there are several.
    """
    found = [ending for ending in usual if ending in sample] or [name for name in (otherwise,) if name in sample]
    if len(found) == 1:
        return found[0]
    raise ValueError(
        f"`{what}` should be the ending of the {what}s' files. Found {', '.join(sample)} in the first sample. "
        "Say which."
    )

"""Damaged files of data: each is refused in one sentence that names the file, and what to do."""

import errno
import gzip
import io
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from tests.faults.damaging import KINDS, LABELS, SAMPLES, Written, csv, hdf5, images, npz, pixels, samples
from tests.faults.points import Fault, forked

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut off": lambda content: content[: len(content) // 3],
    "cut off at a block": lambda content: content[:4096],
    "zeros": lambda content: bytes(len(content)),
    "text": lambda content: b"<html>not found</html>",
    "gzip": gzip.compress,
}
REMEDIES = r"Copy the file again|Unpack it first|should be filled|should name one of|should hold samples. Found none"


def assert_one_sentence(written: Written, message: str) -> None:
    """What reads the file says what is wrong with it, on one line."""
    file, read = written
    with pytest.raises(ValueError, match=rf"{re.escape(str(file))}.*({message})") as refused:
        samples(read)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_are_read(tmp_path: Path, kind: str) -> None:
    _, read = KINDS[kind](tmp_path)
    assert sum(map(len, samples(read))) == SAMPLES


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_file_is_named(tmp_path: Path, kind: str, damage: str) -> None:
    file, read = KINDS[kind](tmp_path)
    content = file.read_bytes()
    file.write_bytes(DAMAGES[damage](content))
    if file.read_bytes() == content:
        pytest.skip("smaller than the block")
    assert_one_sentence((file, read), REMEDIES)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "image"])
def test_missing_file_is_named(tmp_path: Path, kind: str) -> None:
    file, read = KINDS[kind](tmp_path)
    file.unlink()
    file.mkdir()  # a folder of its name is no file, either
    with pytest.raises(FileNotFoundError, match=rf"{re.escape(str(file))}: no such"):
        samples(read)


ARRAYS: dict[str, tuple[dict[str, Any], str]] = {
    "a missing key": ({"images": pixels(8, 8)}, "should hold `labels`. Found the keys .* Name the right one"),
    "labels of other images": ({"images": pixels(8, 8), "labels": LABELS[:-1]}, "one label per"),
    "texts for images": ({"images": np.full((SAMPLES, 8, 8), b"a"), "labels": LABELS}, "should be|should hold"),
    "half labels": ({"images": pixels(8, 8), "labels": LABELS + 0.5}, "labels should be whole numbers"),
    "no samples": ({"images": pixels(8, 8)[:0], "labels": LABELS[:0]}, "at least|should hold|no samples|Found 0"),
}


@pytest.mark.parametrize("content", ARRAYS)
def test_wrong_arrays_in_hdf5(tmp_path: Path, content: str) -> None:
    file, read = hdf5(tmp_path)
    arrays, message = ARRAYS[content]
    with h5py.File(file, "w") as written:
        written.update(arrays)
    assert_one_sentence((file, read), message)


@pytest.mark.parametrize("content", ARRAYS)
def test_wrong_arrays_in_npz(tmp_path: Path, content: str) -> None:
    file, read = npz(tmp_path)
    arrays, message = ARRAYS[content]
    np.savez(file, **arrays)
    assert_one_sentence((file, read), message)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0.5,,1", "column `b` should be filled. Found 1 empty cells, the first in row 13"),
        ("0.5,0.5,1,1", "Expected 3 fields in line 14, saw 4.* Copy the file again"),
        ("0.5,much,1", "features should be numbers|column `b`"),
        ("0.5,inf,1", "b|infinite"),
        ("0.5,0.5,", "column `label` should be filled"),
    ],
)
def test_odd_row_of_a_table(tmp_path: Path, row: str, message: str) -> None:
    file, read = csv(tmp_path)
    with file.open("a") as table:
        table.write(row + "\n")
    assert_one_sentence((file, read), message)


def test_class_without_images_is_named(tmp_path: Path) -> None:
    file, read = images(tmp_path)
    (file.parents[1] / "bird").mkdir()
    with pytest.raises((ValueError, FileNotFoundError), match=r"bird") as refused:
        samples(read)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", ["HDF5", "npz", "npy", "CSV", "image"])
def test_file_that_may_not_be_read_is_named(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file, read = KINDS[kind](tmp_path)
    refuse(monkeypatch, file)
    with pytest.raises((ValueError, OSError), match="Permission denied") as refused:
        samples(read)
    assert str(file) in str(refused.value)


def refuse(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """Let the system refuse to open a file, as it does to others than its owner; root it would let."""
    opened, of_hdf5 = io.open, h5py.File
    error = PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))

    def open_others(path: Any, *args: Any, **options: Any) -> Any:
        if str(path) == str(file):
            raise error
        return opened(path, *args, **options)

    def open_other_hdf5(path: Any, *args: Any, **options: Any) -> Any:
        if str(path) == str(file):
            raise error
        return of_hdf5(path, *args, **options)

    monkeypatch.setattr(io, "open", open_others)
    monkeypatch.setattr("builtins.open", open_others)
    monkeypatch.setattr(h5py, "File", open_other_hdf5)


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_data_are_read_where_nothing_can_be_written(tmp_path: Path, kind: str) -> None:
    _, read = KINDS[kind](tmp_path)
    told = tmp_path / "told"
    assert forked(lambda: samples(read), told, Fault(0, errno.EROFS, lasting=True)) == 0, told.read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_folder_that_is_gone_between_two_epochs(tmp_path: Path, kind: str) -> None:
    _, read = KINDS[kind](made(tmp_path / "data"))
    data = read()
    before = samples(lambda: data)
    shutil.rmtree(tmp_path / "data")
    if kind in ("npy", "image", "tar"):  # which are not held in memory
        with pytest.raises((ValueError, OSError), match=re.escape(str(tmp_path / "data"))):
            samples(lambda: data)
    else:
        assert all(map(torch.equal, before, samples(lambda: data)))


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder

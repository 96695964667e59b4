"""Small files of data of every kind that is read, one of which is then damaged."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

from training.data import CIFAR10, Arrays, DataSet, HDF5Images, ImageFolders, Tabular, TarData

SAMPLES = 12
LABELS = np.arange(SAMPLES) % 2
Written = tuple[Path, Callable[[], DataSet]]
"""The file that is damaged, and what reads it."""


def pixels(*shape: int) -> np.ndarray:
    """Images of one shape, each of its own grey."""
    return np.broadcast_to(
        np.arange(SAMPLES, dtype=np.uint8).reshape(-1, *[1] * len(shape)), (SAMPLES, *shape)
    ).copy()


def png(number: int) -> bytes:
    """A small image, whose compressed bytes cannot be guessed."""
    noise = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).save(content, "png")
    return content.getvalue()


def hdf5(folder: Path) -> Written:
    file = folder / "a.h5"
    with h5py.File(file, "w") as content:
        content["images"], content["labels"] = pixels(1, 8, 8), LABELS
    return file, lambda: HDF5Images(test=[str(file)], train=[])


def shards(folder: Path) -> Written:
    (folder / "cifar10").mkdir(parents=True)
    for name in [*(f"train-{number}" for number in range(1, 6)), "test"]:
        with h5py.File(folder / "cifar10" / f"{name}.h5", "w") as content:
            content["images"], content["labels"] = pixels(3, 32, 32), LABELS
    return folder / "cifar10/test.h5", lambda: CIFAR10(str(folder))


def npz(folder: Path) -> Written:
    file = folder / "a.npz"
    np.savez(file, images=pixels(8, 8), labels=LABELS)
    return file, lambda: Arrays(str(file))


def npy(folder: Path) -> Written:
    file = folder / "images.npy"
    np.save(file, pixels(8, 8))
    np.save(folder / "labels.npy", LABELS)
    return file, lambda: Arrays(str(file))


def csv(folder: Path) -> Written:
    file = folder / "a.csv"
    rows = [f"{number / SAMPLES},{1 - number / SAMPLES},{number % 2}" for number in range(SAMPLES)]
    file.write_text("\n".join(["a,b,label", *rows]) + "\n")
    return file, lambda: Tabular(str(file), bounds=(0.0, 1.0))


def images(folder: Path) -> Written:
    for number in range(SAMPLES):
        file = folder / f"pictures/test/{'cat' if number % 2 else 'dog'}/{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(number))
    return folder / "pictures/test/cat/5.png", lambda: ImageFolders(str(folder / "pictures"), size=8)


def tar(folder: Path) -> Written:
    file = folder / "a-00.tar"
    with tarfile.open(file, "w") as archive:
        for number in range(SAMPLES):
            for ending, content in (("png", png(number)), ("cls", str(number % 2).encode())):
                member = tarfile.TarInfo(f"{number:03}.{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return file, lambda: TarData(str(file), classes=2)


KINDS: dict[str, Callable[[Path], Written]] = {
    "HDF5": hdf5,
    "shards of CIFAR-10": shards,
    "npz": npz,
    "npy": npy,
    "CSV": csv,
    "image": images,
    "tar": tar,
}


def samples(read: Callable[[], DataSet]) -> list[Any]:
    """All samples of the test split."""
    return [batch.y for batch in read().batches("test")]

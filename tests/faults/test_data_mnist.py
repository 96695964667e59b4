"""Damaged files of MNIST: each is refused in a sentence that names the file, and what to do."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training.test_data_mnist import write_tiny_mnist
from training.data import MNIST

Damage = Callable[[bytes], bytes]
DAMAGES: dict[str, tuple[Damage, str]] = {
    "nothing": (lambda content: b"", "Found no bytes"),
    "half a header": (lambda content: content[:6], "should be an idx file that begins with"),
    "cut off": (lambda content: content[:-1], "says that it holds .* Found"),
    "too long": (lambda content: content + b"\0", "says that it holds .* Found"),
    "zeros": (lambda content: bytes(len(content)), "should be an idx file"),
    "gzip": (gzip.compress, "It is compressed with gzip: unpack it"),
    "no digit": (lambda content: content[:4] + bytes(4) + content[8:], "says that it holds 0 digits"),
}
FILES = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("labels-idx1", "images-idx3")]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged(tmp_path: Path, name: str, damage: str) -> None:
    write_tiny_mnist(tmp_path)
    file, (change, message) = tmp_path / "MNIST/raw" / name, DAMAGES[damage]
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(ValueError, match=rf"{name} .*{message}.* Copy the file again"):
        MNIST(str(tmp_path)).split("train" if name.startswith("train") else "test")


def test_images_in_place_of_labels(tmp_path: Path) -> None:
    write_tiny_mnist(tmp_path)
    raw = tmp_path / "MNIST/raw"
    (raw / "train-labels-idx1-ubyte").write_bytes((raw / "train-images-idx3-ubyte").read_bytes())
    with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte should be .* begins with 2049. Found 00 00 08 03"):
        MNIST(str(tmp_path)).split("train")


def test_labels_of_the_other_part(tmp_path: Path) -> None:
    write_tiny_mnist(tmp_path)
    raw = tmp_path / "MNIST/raw"
    (raw / "train-labels-idx1-ubyte").write_bytes((raw / "t10k-labels-idx1-ubyte").read_bytes())
    with pytest.raises(ValueError, match=r"should hold as many digits as train-labels.* Found 20 and 10"):
        MNIST(str(tmp_path)).split("train")


def test_labels_that_are_no_digits(tmp_path: Path) -> None:
    write_tiny_mnist(tmp_path)
    file = tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte"
    file.write_bytes(file.read_bytes()[:-1] + b"\x0a")
    with pytest.raises(ValueError, match=r"t10k-labels.* should hold digits from 0 to 9. Found 10"):
        MNIST(str(tmp_path)).split("test")


@pytest.mark.parametrize("name", ["with spaces", "Größe μ 数据"])
def test_root_by_a_link_and_of_any_name(tmp_path: Path, name: str) -> None:
    write_tiny_mnist(tmp_path / name)
    (tmp_path / "link").symlink_to(tmp_path / name)
    assert len(MNIST(str(tmp_path / "link")).split("test")) == len(MNIST(str(tmp_path / name)).split("test")) == 10

"""MNIST and its pairs, from the real files, and what is said where they are missing."""

import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from training.data import MNIST, MNISTPair
from training.data.checks import shuffled

SPLITS = ("train", "validation", "test")


def raw_digits(root: Path, part: str) -> tuple[bytes, list[bytes]]:
    """Labels and images as they stand in the idx files."""
    folder = root / "MNIST" / "raw"
    labels = (folder / f"{part}-labels-idx1-ubyte").read_bytes()[8:]
    pixels = (folder / f"{part}-images-idx3-ubyte").read_bytes()[16:]
    return labels, [pixels[start : start + 784] for start in range(0, len(pixels), 784)]


@pytest.mark.data
def test_mnist_has_its_sizes(real_data):
    data = MNIST(str(real_data))
    assert [len(data.split(name)) for name in SPLITS] == [54_000, 6_000, 10_000]
    assert data.classes == tuple("0123456789")


@pytest.mark.data
def test_three_and_five_have_the_sizes_of_the_paper(real_data):
    data = MNISTPair(data_root=str(real_data))
    assert [len(data.split(name)) for name in SPLITS] == [10_397, 1_155, 1_902]
    assert (data.name, data.classes) == ("MNIST-3/5", ("3", "5"))


@pytest.mark.data
def test_three_and_five_are_divided_as_in_the_paper_s_program(real_data):
    labels, images = raw_digits(real_data, "train")
    pair = [(label == 5, image) for label, image in zip(labels, images, strict=True) if label in (3, 5)]
    order = [*range(11_552)]
    np.random.RandomState(0).shuffle(order)
    split = MNISTPair(data_root=str(real_data)).split("validation")
    found = zip(split.labels.tolist(), (image.numpy().tobytes() for image in split.images), strict=True)
    assert [*found] == [pair[i] for i in order[:1_155]]
    # With the order that all other data sets have, 122 of them were kept as well.
    assert len({*order[:1_155]} & {*shuffled(11_552, "validation", "MNIST-3/5")[:1_155].tolist()}) == 122


@pytest.mark.data
def test_training_and_validation_share_out_the_training_file(real_data):
    labels, images = raw_digits(real_data, "train")
    data = MNIST(str(real_data))
    found = Counter(
        (int(label), image.numpy().tobytes())
        for name in ("train", "validation")
        for label, image in zip(data.split(name).labels, data.split(name).images, strict=True)
    )
    assert found == Counter(zip(labels, images, strict=True))


@pytest.mark.data
def test_test_split_is_the_test_file_in_its_order(real_data):
    labels, images = raw_digits(real_data, "t10k")
    split = MNIST(str(real_data)).split("test")
    assert split.labels.tolist() == list(labels)
    assert split.images.numpy().tobytes() == b"".join(images)


@pytest.mark.data
@pytest.mark.parametrize(("a", "b"), [(3, 5), (5, 3), (1, 2)])
def test_pair_is_numbered_in_its_order(real_data, a, b):
    labels, images = raw_digits(real_data, "t10k")
    split = MNISTPair(a, b, data_root=str(real_data)).split("test")
    expected = [(label == b, image) for label, image in zip(labels, images, strict=True) if label in (a, b)]
    found = zip(split.labels.tolist(), (image.numpy().tobytes() for image in split.images), strict=True)
    assert list(found) == expected


@pytest.mark.data
def test_samples_lie_within_bounds_and_reach_both_ends(real_data):
    data = MNISTPair(data_root=str(real_data))
    batch = next(iter(data.test_dataloader()))
    assert batch.x.shape == (512, *data.shape)
    assert (batch.x.min(), batch.x.max()) == data.bounds


@pytest.mark.data
def test_classes_of_the_validation_split_are_balanced(real_data):
    counts = MNIST(str(real_data)).split("validation").labels.bincount()
    assert (counts / 6_000 - 0.1).abs().max() < 0.02


def write_tiny_mnist(root: Path) -> None:
    """Twenty digits for training and ten for testing in MNIST's own format."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for part, count in (("train", 20), ("t10k", 10)):
        labels = bytes(number % 10 for number in range(count))
        pixels = b"".join(bytes([number]) * 784 for number in range(count))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, count) + labels)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, count, 28, 28) + pixels)


def test_environment_names_the_folder(tmp_path, monkeypatch):
    write_tiny_mnist(tmp_path)
    monkeypatch.setenv("ALPHADX_DATA", str(tmp_path))
    data = MNIST()
    assert [len(data.split(name)) for name in SPLITS] == [18, 2, 10]
    # Digit d of the test file is grey level d everywhere.
    split = data.split("test")
    assert torch.equal(split.images[:, 0, 0, 0].long(), split.labels)


def test_given_folder_precedes_the_environment(tmp_path, monkeypatch):
    write_tiny_mnist(tmp_path / "given")
    monkeypatch.setenv("ALPHADX_DATA", str(tmp_path / "nowhere"))
    assert len(MNIST(str(tmp_path / "given")).split("test")) == 10


def test_missing_files_are_named_with_the_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"MNIST.raw: MNIST's four idx files .* `data_root`") as raised:
        MNIST(str(tmp_path)).split("train")
    assert str(tmp_path) in str(raised.value)


@pytest.mark.parametrize(("a", "b"), [(3, 3), (3, 10), (-1, 3)])
def test_impossible_pair_is_refused(a, b):
    with pytest.raises(ValueError, match=f"two different digits. Found {a} and {b}"):
        MNISTPair(a, b)


@pytest.mark.parametrize("make", [MNIST, MNISTPair])
def test_padded_digits_keep_their_pixels_in_the_middle(make, tmp_path):
    write_tiny_mnist(tmp_path)
    small, large = (make(data_root=str(tmp_path), size=size, resizing="pad") for size in (28, 32))
    assert (small.shape, large.shape) == ((1, 28, 28), (1, 32, 32))
    inside = large.split("test").images[:, :, 2:30, 2:30]
    assert torch.equal(inside, small.split("test").images)
    assert int(large.split("test").images.sum()) == int(inside.sum())


def test_resized_digits_have_their_size_and_bounds(tmp_path):
    write_tiny_mnist(tmp_path)
    data = MNISTPair(data_root=str(tmp_path), size=32, bounds=(0.0, 1.0))
    x, y, _ = data.split("test").__getitems__([0, 1])
    # Digit d of the test file is grey level d everywhere, whatever its size.
    torch.testing.assert_close(x, (torch.tensor([3.0, 5.0])[y] / 255).reshape(-1, 1, 1, 1).expand(-1, 1, 32, 32))


def test_the_size_of_the_files_is_no_part_of_the_identity_and_another_one_is():
    assert {"size", "resizing", "bounds"}.isdisjoint(MNISTPair().arguments)
    assert MNISTPair(size=32).arguments["size"] == 32


@pytest.mark.usefixtures("as_in_production")
def test_images_cannot_be_padded_to_less_than_they_are():
    with pytest.raises(ValueError, match=r"`size` should be at least 28 with resizing='pad'. Found 20"):
        MNIST(size=20, resizing="pad")
    with pytest.raises(ValueError, match="`resizing` should be one of bilinear, pad"):
        MNISTPair(size=32, resizing="crop")

"""Torchvision's data sets by name, in the layouts that torchvision itself reads."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
import torchvision
from PIL import Image

from training.data import MNIST, TorchvisionData
from training.data.torchvision_data import BY_SPLIT, BY_TRAIN, WHOLE

SPLITS = ("train", "validation", "test")


def picture(number: int, size: tuple[int, int] = (8, 6)) -> Image.Image:
    """Colour noise; `size` is width and height."""
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def save(path: Path, number: int, size: tuple[int, int] = (8, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(number, size).save(path)


def dtd(root: Path) -> None:
    for number in range(12):
        save(root / "dtd" / "dtd" / "images" / "ab"[number % 2] / f"{number}.png", number)
    (root / "dtd" / "dtd" / "labels").mkdir()
    for start, part in enumerate(("train", "val", "test")):
        lines = [f"{'ab'[number % 2]}/{number}.png" for number in range(4 * start, 4 * start + 4)]
        (root / "dtd" / "dtd" / "labels" / f"{part}1.txt").write_text("\n".join(lines))


def aircraft(root: Path) -> None:
    base = root / "fgvc-aircraft-2013b" / "data"
    for number in range(12):
        save(base / "images" / f"{number}.jpg", number, (8 + number % 3, 6))
    (base / "variants.txt").write_text("A 1\nB 2\n")
    for start, part in enumerate(("train", "val", "test")):
        lines = [f"{number} {'AB'[number % 2]} {number % 2 + 1}" for number in range(4 * start, 4 * start + 4)]
        (base / f"images_variant_{part}.txt").write_text("\n".join(lines))


def pet(root: Path) -> None:
    base = root / "oxford-iiit-pet"
    (base / "annotations" / "trimaps").mkdir(parents=True)
    for part, first in (("trainval", 0), ("test", 20)):
        lines = []
        for number in range(first, first + 20):
            name = ("Abyssinian", "beagle")[number % 2]
            save(base / "images" / f"{name}_{number}.jpg", number)
            lines.append(f"{name}_{number} {number % 2 + 1} 1 1")
        (base / "annotations" / f"{part}.txt").write_text("\n".join(lines))


def fashion(root: Path) -> None:
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 20), ("t10k", 10)):
        images = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, count, 28, 28) + images.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, count) + labels.tobytes())


def svhn(root: Path) -> None:
    for part, count in (("train", 20), ("test", 10)):
        images = np.random.default_rng(count).integers(0, 256, (32, 32, 3, count), dtype=np.uint8)
        labels = (np.arange(count) % 10 + 1)[:, None]
        scipy.io.savemat(root / f"{part}_32x32.mat", {"X": images, "y": labels})


def eurosat(root: Path) -> None:
    for number in range(20):
        save(root / "eurosat" / "2750" / ("Forest", "River")[number % 2] / f"{number}.jpg", number)


def gtsrb(root: Path) -> None:
    base = root / "gtsrb"
    for number in range(8):
        save(base / "GTSRB" / "Training" / f"{number % 2:05d}" / f"{number}.ppm", number)
        save(base / "GTSRB" / "Final_Test" / "Images" / f"{number}.ppm", 100 + number)
    lines = ["Filename;ClassId", *(f"{number}.ppm;{number % 2}" for number in range(8))]
    (base / "GT-final_test.csv").write_text("\n".join(lines))


LAYOUTS: dict[str, Any] = {
    "DTD": (dtd, {}, (4, 4, 4), 2, (3, 6, 8)),
    "FGVCAircraft": (aircraft, {"size": 5, "resize": 6}, (4, 4, 4), 2, (3, 5, 5)),
    "OxfordIIITPet": (pet, {}, (18, 2, 20), 2, (3, 6, 8)),
    "FashionMNIST": (fashion, {}, (18, 2, 10), 10, (1, 28, 28)),
    "EuroSAT": (eurosat, {}, (15, 1, 4), 2, (3, 6, 8)),
    "GTSRB": (gtsrb, {}, (7, 1, 8), 43, (3, 6, 8)),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_splits_of_every_convention_are_those_of_torchvision(name: str, tmp_path: Path) -> None:
    write, options, sizes, classes, shape = LAYOUTS[name]
    write(tmp_path)
    data = TorchvisionData(name, str(tmp_path), **options)
    assert tuple(len(data.split(split)) for split in SPLITS) == sizes
    assert (data.num_classes, data.shape, data.bounds, data.name) == (classes, shape, (0.0, 1.0), name)
    for split in SPLITS:
        x, y, _ = data.split(split).__getitems__(range(len(data.split(split))))
        assert x.shape[1:] == shape
        assert 0 <= float(x.min()) <= float(x.max()) <= 1
        assert y.tolist() == data.split(split).labels.tolist()


def test_pixels_are_those_of_torchvision(tmp_path: Path) -> None:
    dtd(tmp_path)
    theirs = torchvision.datasets.DTD(str(tmp_path), split="test")
    x, y, _ = TorchvisionData("DTD", str(tmp_path)).split("test").__getitems__(range(4))
    for number, (image, label) in enumerate(theirs):
        assert torch.equal(x[number].mul(255).round().byte(), torch.from_numpy(np.array(image)).permute(2, 0, 1))
        assert y[number] == label


def test_parts_of_a_data_set_without_splits_do_not_overlap(tmp_path: Path) -> None:
    eurosat(tmp_path)
    data = TorchvisionData("EuroSAT", str(tmp_path))
    everything = [data.split(split).__getitems__(range(len(data.split(split)))).x.flatten(1) for split in SPLITS]
    assert len(torch.cat(everything).unique(dim=0)) == 20
    assert data.classes == ("Forest", "River")


def test_files_that_torchvision_checks_are_read_by_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    svhn(tmp_path)
    monkeypatch.setattr(torchvision.datasets.SVHN, "_check_integrity", lambda self: True)
    data = TorchvisionData("SVHN", str(tmp_path), bounds=(-1.0, 1.0))
    assert (data.num_classes, data.shape) == (10, (3, 32, 32))
    assert data.split("test").labels.tolist() == [(number + 1) % 10 for number in range(10)]
    assert float(data.split("test")[0].x.min()) == -1.0


def test_generated_images_need_no_files() -> None:
    data = TorchvisionData("FakeData", options={"size": 40, "image_size": [3, 12, 10], "num_classes": 4}, size=8)
    assert (data.shape, data.num_classes) == ((3, 8, 8), 4)
    assert [len(data.split(split)) for split in SPLITS] == [29, 3, 8]


def test_real_digits_are_those_of_ours(real_data: Path) -> None:
    data, ours = TorchvisionData("MNIST", str(real_data), bounds=(-1.0, 1.0)), MNIST(str(real_data))
    assert torch.equal(data.split("test").__getitems__([3, 9_999]).x, ours.split("test").__getitems__([3, 9_999]).x)
    assert data.split("test").labels.tolist() == ours.split("test").labels.tolist()
    assert (len(data.split("train")), len(data.split("validation"))) == (54_000, 6_000)


def test_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fashion(tmp_path)
    monkeypatch.setenv("ALPHADX_DATA", str(tmp_path))
    assert TorchvisionData("FashionMNIST").classes[0] == "T-shirt/top"


def test_images_of_different_sizes_need_a_size(tmp_path: Path) -> None:
    aircraft(tmp_path)
    data = TorchvisionData("FGVCAircraft", str(tmp_path))
    with pytest.raises(
        ValueError, match=r"all inputs should have the first one's shape .* Give `size` \(and `resize`\)"
    ):
        data.split("test").__getitems__(range(4))


@pytest.mark.parametrize("name", [*BY_TRAIN, *BY_SPLIT, *(name for name in WHOLE if name != "FakeData")])
def test_missing_files_are_named_and_never_fetched(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetched(*_: Any, **__: Any) -> None:
        raise AssertionError("something was fetched")

    monkeypatch.setattr("urllib.request.urlopen", fetched)
    options = {"split": "balanced"} if name == "EMNIST" else {}
    with pytest.raises(FileNotFoundError, match=rf"files of torchvision's {name} were not found .*`data_root`"):
        TorchvisionData(name, str(tmp_path), options=options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("CocoDetection", {}, r"`set` should be one of torchvision's .* Found 'CocoDetection'. .*--data TorchData"),
        ("FakeData", {"options": {"sise": 3}}, "`options` should be what FakeData takes. Found {'sise': 3}"),
        ("EMNIST", {}, "`options` should be what EMNIST takes. .*split"),
        ("FakeData", {"size": 0}, "`size` should be at least 1 pixel. Found 0"),
        ("FakeData", {"resize": 9}, "`resize` should be at least `size`"),
        ("FakeData", {"size": 9, "resize": 8}, "`resize` should be at least `size`"),
        ("FakeData", {"channels": 2}, "`channels` should be 1"),
        ("FakeData", {"validation_share": 1.0}, r"`validation_share` should lie in \(0, 1\)"),
        ("FakeData", {"classes": ["one"]}, "`classes` should be at least two. Found 1"),
    ],
)
def test_wrong_arguments_are_refused(name: str, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        TorchvisionData(name, str(tmp_path), **options)

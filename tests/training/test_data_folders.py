"""Folders of images and Tiny ImageNet: what is read, how it is split, and what is said of wrong files."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.data import DataSet, ImageFolders, TinyImageNet

SPLITS = ("train", "validation", "test")


def paint(path: Path, colour: tuple[int, ...], size: tuple[int, int] = (6, 6), mode: str = "RGB") -> None:
    """An image of one colour; `size` is width and height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Twenty images for training, four for testing, of two classes; red says the number and green the class."""
    for number in range(20):
        paint(tmp_path / "mine" / "train" / "ab"[number % 2] / f"{number:02d}.png", (number, number % 2, 255))
    for number in range(4):
        paint(tmp_path / "mine" / "test" / "ab"[number % 2] / f"{number}.png", (100 + number, number % 2, 255))
    return tmp_path / "mine"


def numbers_in(data: DataSet, name: str) -> list[int]:
    split = data.split(name)
    x, y, indices = split.__getitems__(range(len(split)))
    assert indices.tolist() == list(range(len(split)))
    assert torch.equal(x[:, 1, 0, 0].mul(255).round().long(), y)
    return x[:, 0, 0, 0].mul(255).round().int().tolist()


def test_images_and_classes_come_from_the_folders(folder):
    data = ImageFolders(str(folder), size=6)
    assert (data.name, data.classes, data.shape, data.bounds) == ("mine", ("a", "b"), (3, 6, 6), (0.0, 1.0))
    assert numbers_in(data, "test") == [100, 102, 101, 103]
    assert sorted(numbers_in(data, "train") + numbers_in(data, "validation")) == list(range(20))


def test_validation_is_a_fixed_share_of_training(folder):
    data = ImageFolders(str(folder), size=6, validation_share=0.25)
    kept = numbers_in(data, "validation")
    assert len(kept) == 5
    assert not set(kept) & set(numbers_in(data, "train"))
    assert numbers_in(ImageFolders(str(folder), size=6, validation_share=0.25, seed=7), "validation") == kept


@pytest.mark.parametrize("part", ["validation", "val"])
def test_own_validation_folder_is_used_and_nothing_is_kept_back(folder, part):
    for number in range(2):
        paint(folder / part / "ab"[number] / "x.png", (200 + number, number, 0))
    data = ImageFolders(str(folder), size=6)
    assert numbers_in(data, "validation") == [200, 201]
    assert sorted(numbers_in(data, "train")) == list(range(20))
    assert len(data.split("test")) == 4


def test_share_for_validation_lies_between_nothing_and_all(folder):
    with pytest.raises(ValueError, match=r"`validation_share` should lie in \[0, 1\). Found 1.0"):
        ImageFolders(str(folder), size=6, validation_share=1.0).split("validation")


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0)])
def test_bytes_are_mapped_to_bounds_with_exact_ends(folder, bounds):
    paint(folder / "test" / "a" / "0.png", (0, 255, 51))
    x = ImageFolders(str(folder), size=6, bounds=bounds).split("test")[0].x[0, :, 0, 0]
    assert (x[0], x[1]) == bounds
    assert float(x[2]) == pytest.approx(bounds[0] + 0.2 * (bounds[1] - bounds[0]), abs=1e-6)


def test_images_of_the_size_are_taken_as_they_are(folder):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "test" / "a" / "0.png")
    x = ImageFolders(str(folder), size=6).split("test")[0].x[0]
    assert torch.equal(x.mul(255).round().byte(), torch.from_numpy(pixels).permute(2, 0, 1))


@pytest.mark.parametrize("size", [(30, 10), (10, 30), (3, 9), (9, 3), (1, 1)])
def test_shorter_side_is_resized_and_the_middle_is_kept(folder, size):
    # Thirds of the longer side: red, green, blue.
    width, height = size
    across = np.arange(max(size)) * 3 // max(size)
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[...] = np.eye(3, dtype=np.uint8)[across if width > height else across[:, None]] * 255
    Image.fromarray(pixels).save(folder / "test" / "a" / "0.png")
    x = ImageFolders(str(folder), size=6).split("test")[0].x[0]
    assert x.shape == (3, 6, 6)
    middle = x[:, 3, 3]
    assert middle.argmax() == (0 if size == (1, 1) else 1)
    assert middle.max() == 1


@pytest.mark.parametrize(("mode", "colour"), [("L", 51), ("RGBA", (51, 51, 51, 255)), ("1", 1)])
def test_other_kinds_of_images_become_colour(folder, mode, colour):
    paint(folder / "test" / "a" / "0.png", colour, mode=mode)
    x = ImageFolders(str(folder), size=6).split("test")[0].x
    assert x.shape == (1, 3, 6, 6)
    torch.testing.assert_close(x, torch.full_like(x, 1.0 if mode == "1" else 0.2))


def test_other_files_are_passed_over(folder):
    (folder / "test" / "a" / "notes.txt").write_text("not an image")
    (folder / "train" / "readme.md").write_text("not a class")
    data = ImageFolders(str(folder), size=6)
    assert len(data.split("test")) == 4
    assert data.classes == ("a", "b")


def test_images_are_read_when_they_are_asked_for(folder):
    data = ImageFolders(str(folder), size=6)
    split = data.split("test")
    paint(folder / "test" / "a" / "0.png", (77, 0, 0))
    assert numbers_in(data, "test")[0] == 77
    assert split.__getitems__([2, 0]).indices.tolist() == [2, 0]


def test_worker_processes_change_nothing(folder):
    alone, helped = (ImageFolders(str(folder), size=6, batch_size=4, workers=workers) for workers in (0, 2))
    pairs = list(zip(alone.train_dataloader(), helped.train_dataloader(), strict=True))
    assert len(pairs) == 5
    assert all(torch.equal(a, b) for one, two in pairs for a, b in zip(one, two, strict=True))


def test_split_may_lack_a_class(folder):
    for path in (folder / "test" / "a").iterdir():
        path.unlink()
    (folder / "test" / "a").rmdir()
    assert ImageFolders(str(folder), size=6).split("test").labels.tolist() == [1, 1]


def test_split_with_a_class_of_its_own_is_refused(folder):
    paint(folder / "test" / "zebra" / "0.png", (0, 0, 0))
    with pytest.raises(ValueError, match=r"mine.test: its classes should be among those of .*train. Found 'zebra'"):
        ImageFolders(str(folder), size=6).split("test")


def test_class_without_images_is_named(folder):
    (folder / "train" / "c").mkdir()
    with pytest.raises(FileNotFoundError, match=r"Found no valid file for the classes c"):
        ImageFolders(str(folder), size=6).split("train")


def test_missing_folder_is_named_with_the_expected_layout(tmp_path):
    expected = r"gone.train: no folders of classes. Expected train/CLASS/\*.jpg, test/CLASS/\*.jpg and, if there"
    with pytest.raises(FileNotFoundError, match=expected):
        ImageFolders(str(tmp_path / "gone"))


def test_missing_test_folder_is_named_when_it_is_asked_for(folder):
    for path in (folder / "test").rglob("*.png"):
        path.unlink()
    for path in (folder / "test").iterdir():
        path.rmdir()
    data = ImageFolders(str(folder), size=6)
    assert len(data.split("train")) == 18
    with pytest.raises(FileNotFoundError, match=r"mine.test: no folders of classes. Expected train/CLASS"):
        data.split("test")


def broken(content: bytes) -> list[bytes]:
    """Cut off, not an image, empty, and an image whose pixels are damaged."""
    return [content[: len(content) // 2], b"not an image", b"", content[:45] + bytes(10) + content[55:]]


@pytest.mark.parametrize("kind", range(4))
def test_image_that_cannot_be_read_is_named(folder, kind):
    path = folder / "test" / "a" / "0.png"
    pixels = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    path.write_bytes(broken(path.read_bytes())[kind])
    with pytest.raises(ValueError, match=re.escape(f"{path}: not an image that can be read (")):
        ImageFolders(str(folder), size=6).split("test")[0]


@pytest.mark.parametrize("size", [0, -1])
def test_images_without_pixels_are_refused(folder, size):
    with pytest.raises(ValueError, match=f"`size` should be at least 1 pixel. Found {size}"):
        ImageFolders(str(folder), size=size)


@pytest.fixture
def tiny(tmp_path) -> Path:
    """Two classes of Tiny ImageNet in its own layout: twenty images for training, three with annotations."""
    root = tmp_path / "tiny-imagenet-200"
    words = ("n01443537", "n01629819")
    for number in range(20):
        word = words[number % 2]
        paint(
            root / "train" / word / "images" / f"{word}_{number}.JPEG", (number * 10, number % 2 * 255, 0), (64, 64)
        )
        (root / "train" / word / f"{word}_boxes.txt").write_text(f"{word}_0.JPEG\t0\t0\t63\t63\n")
    lines = []
    for number, word in enumerate((words[1], words[0], words[1])):
        paint(root / "val" / "images" / f"val_{number}.JPEG", (0, 255 * words.index(word), 0), (64, 64))
        lines.append(f"val_{number}.JPEG\t{word}\t0\t32\t44\t62\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    paint(root / "test" / "images" / "test_0.JPEG", (0, 0, 0), (64, 64))
    return root


def test_tiny_imagenet_is_read_in_its_own_layout(tiny):
    data = TinyImageNet(str(tiny.parent), validation_share=0.25)
    assert (data.name, data.classes, data.shape) == ("Tiny ImageNet", ("n01443537", "n01629819"), (3, 64, 64))
    assert [len(data.split(name)) for name in SPLITS] == [15, 5, 3]
    assert data.split("test").labels.tolist() == [1, 0, 1]
    for name in SPLITS:
        batch = data.split(name).__getitems__(range(len(data.split(name))))
        assert torch.equal((batch.x[:, 1].mean(dim=(1, 2)) > 0.5).long(), batch.y)
    assert not set(data.split("train").paths) & set(data.split("validation").paths)


def test_environment_names_the_folder_of_tiny_imagenet(tiny, monkeypatch):
    monkeypatch.setenv("ALPHADX_DATA", str(tiny.parent))
    assert len(TinyImageNet().split("test")) == 3


def test_missing_tiny_imagenet_is_named_with_its_layout(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tiny-imagenet-200.train: .* val/images/\*.JPEG and val/val_annota"):
        TinyImageNet(str(tmp_path))


def test_missing_annotations_are_named(tiny):
    (tiny / "val" / "val_annotations.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"val_annotations.txt: not found. Expected train/CLASS/images"):
        TinyImageNet(str(tiny.parent)).split("test")


@pytest.mark.parametrize("line", ["val_0.JPEG", "val_0.JPEG\tn00000000\t0\t0", ""])
def test_wrong_line_of_the_annotations_is_named(tiny, line):
    path = tiny / "val" / "val_annotations.txt"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match=r"val_annotations.txt: line 4 should name a file and its class. Found \["):
        TinyImageNet(str(tiny.parent)).split("test")


def test_missing_image_of_the_annotations_is_named(tiny):
    (tiny / "val" / "images" / "val_1.JPEG").unlink()
    with pytest.raises(ValueError, match=r"val_1.JPEG: not an image that can be read"):
        TinyImageNet(str(tiny.parent)).split("test")[1]


def test_without_a_share_for_validation_all_is_for_training(folder):
    data = ImageFolders(str(folder), size=6, validation_share=0.0)
    assert sorted(numbers_in(data, "train")) == list(range(20))
    assert len(data.split("validation")) == 0


def test_tiny_imagenet_is_resized_on_demand_and_known_again(tiny):
    usual, small = TinyImageNet(str(tiny.parent)), TinyImageNet(str(tiny.parent), size=32)
    assert (usual.shape, small.shape) == ((3, 64, 64), (3, 32, 32))
    assert small.split("test")[0].x.shape == (1, 3, 32, 32)
    assert "size" not in usual.arguments
    assert small.arguments["size"] == 32

"""Folders of images that are named otherwise, or are of one split alone."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.data import ImageFolders, TinyImageNet

WORDS = ("n01440764", "n01443537", "n02102040")


def paint(path: Path, shade: int, dtype: type = np.uint8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((9, 9), shade, dtype)).save(path)


@pytest.fixture
def imagenet(tmp_path) -> Path:
    """ImageNet's form: a folder of validation images by class, and no other."""
    for number, word in enumerate(WORDS):
        for image in range(2):
            paint(tmp_path / "val" / word / f"ILSVRC2012_val_0000000{image}.JPEG", 50 * number)
    return tmp_path


def test_the_folder_of_one_split_is_enough(imagenet):
    data = ImageFolders(str(imagenet), size=8, test="val")
    assert data.classes == WORDS
    assert data.split("test").labels.tolist() == [0, 0, 1, 1, 2, 2]
    for name in ("train", "validation"):
        with pytest.raises(FileNotFoundError, match=r"train: no folders of classes. .* Found the folders val: na"):
            data.split(name)
    with pytest.raises(FileNotFoundError, match="train: no folders of classes"):
        data.residual("nearest")


def test_wrong_names_are_answered_with_the_folders_that_are_there(imagenet):
    with pytest.raises(FileNotFoundError, match=r"Found the folders val: name one with .* such as `test: val`"):
        ImageFolders(str(imagenet), size=8)


def test_the_folder_that_is_tested_on_is_not_also_for_validation(imagenet):
    for word in WORDS:
        for image in range(10):
            paint(imagenet / "train" / word / f"{image}.JPEG", 0)
    data = ImageFolders(str(imagenet), size=8, test="val", validation_share=0.2)
    assert [len(data.split(name)) for name in ("train", "validation", "test")] == [24, 6, 6]


def test_every_folder_may_be_named(imagenet):
    for name in ("fit", "choose"):
        paint(imagenet / name / WORDS[0] / "a.png", 0)
    data = ImageFolders(str(imagenet), size=8, train="fit", validation="choose", test="fit")
    assert data.classes == WORDS[:1]
    assert [len(data.split(name)) for name in ("train", "validation", "test")] == [1, 1, 1]


def test_channels_of_grey_folders_are_found(imagenet):
    assert ImageFolders(str(imagenet), size=8, test="val").shape == (3, 8, 8)
    data = ImageFolders(str(imagenet), size=8, test="val", channels="auto")
    assert data.shape == (1, 8, 8) == data.split("test")[0].x.shape[1:]


def test_folder_of_radiographs_says_how_many_bits_it_seems_to_have(tmp_path):
    for number in range(2):
        paint(tmp_path / "test" / "ab"[number] / "0.png", 4000 + number, np.uint16)
    data = ImageFolders(str(tmp_path), size=8)
    (said,) = data.notes
    assert "images in 16 bits reach 4001 of 65535" in said
    x = ImageFolders(str(tmp_path), size=8, levels=4095).split("test")[1].x
    assert float(x.max()) == pytest.approx(4001 / 4095, abs=1e-6)


def test_tiny_imagenet_without_its_training_part_is_missing(tmp_path):
    paint(tmp_path / "tiny-imagenet-200" / "test" / "images" / "a.JPEG", 0)
    with pytest.raises(FileNotFoundError, match=r"tiny-imagenet-200.train: no folders of classes"):
        TinyImageNet(str(tmp_path))


def test_images_of_the_test_split_may_be_listed(imagenet):
    names = [f"{WORDS[2]}/ILSVRC2012_val_00000001.JPEG", f"{WORDS[0]}/ILSVRC2012_val_00000000.JPEG 0"]
    listed = imagenet / "ids.txt"
    listed.write_text("\n".join(names) + "\n\n")
    data = ImageFolders(str(imagenet), size=8, test="val", listed=str(listed))
    assert data.split("test").labels.tolist() == [2, 0]
    assert data.split("test").__getitems__([0]).x.unique().tolist() == pytest.approx([100 / 255])
    assert "listed" not in ImageFolders(str(imagenet), size=8, test="val").arguments

    for line, error, message in [
        ("n09/a.JPEG", ValueError, "image 1 should be named as CLASS/FILE. Found 'n09/a.JPEG'"),
        (f"{WORDS[0]}/b.JPEG", FileNotFoundError, "b.JPEG: no such file, which .*ids.txt names"),
    ]:
        listed.write_text(line)
        with pytest.raises(error, match=message):
            ImageFolders(str(imagenet), size=8, test="val", listed=str(listed)).split("test")
    with pytest.raises(FileNotFoundError, match="`listed` should name one"):
        ImageFolders(str(imagenet), size=8, test="val", listed=str(imagenet / "gone.txt")).split("test")

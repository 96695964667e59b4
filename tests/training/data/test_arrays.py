"""NumPy's files in the forms in which people have them."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from training.data import Arrays, DataSet
from training.data.arrays import MappedSplit

RNG = np.random.default_rng(0)
SPLITS = ("train", "validation", "test")


def pictures(count: int, start: int = 0) -> np.ndarray:
    """H×W×C bytes whose first pixel says their number."""
    images = RNG.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(start, start + count)
    return images


def numbers_in(data: DataSet, name: str) -> list[int]:
    split = data.split(name)
    return split.__getitems__(range(len(split))).x[:, 0, 0, 0].mul(255).round().int().tolist()


@pytest.mark.parametrize(("images", "labels"), [("images", "labels"), ("x", "y"), ("data", "targets"), ("X", "Y")])
def test_usual_keys_are_found(tmp_path, images, labels):
    raw = pictures(6)
    np.savez(tmp_path / "a.npz", **{images: raw, labels: np.arange(6) % 3})
    data = Arrays(str(tmp_path / "a.npz"))
    assert (data.name, data.shape, data.classes, data.bounds) == ("a", (3, 8, 8), ("0", "1", "2"), (0.0, 1.0))
    batch = data.split("test").__getitems__(range(6))
    torch.testing.assert_close(batch.x, torch.from_numpy(raw).permute(0, 3, 1, 2) / 255)
    assert batch.y.tolist() == [0, 1, 2, 0, 1, 2]
    assert any("read as NHWC" in note for note in data.notes)


def test_keys_may_be_named(tmp_path):
    np.savez(tmp_path / "a.npz", pixels=pictures(6), images=pictures(3), diagnosis=np.arange(6) % 2)
    data = Arrays(str(tmp_path / "a.npz"), images="pixels", labels="diagnosis")
    assert len(data.split("test")) == 6


@pytest.mark.parametrize("form", ["{split}_images {split}_labels", "x_{split} y_{split}"])
def test_one_file_of_all_splits_is_named_once(tmp_path, form):
    """The forms of MedMNIST, whose labels are a column, and of Keras."""
    held = {}
    for number, split in enumerate(("train", "val", "test")):
        images, labels = form.format(split=split).split()
        held |= {images: pictures(4, 10 * number), labels: np.arange(4)[:, None] % 2}
    np.savez(tmp_path / "pathmnist.npz", **held)
    data = Arrays(str(tmp_path / "pathmnist.npz"))
    assert {name: numbers_in(data, name) for name in SPLITS} == {
        "train": [0, 1, 2, 3],
        "validation": [10, 11, 12, 13],
        "test": [20, 21, 22, 23],
    }


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("gaussian_noise.npy", "labels.npy"),
        ("x_test.npy", "y_test.npy"),
        ("test_images.npy", "test_labels.npy"),
        ("cifar10.1_v6_data.npy", "cifar10.1_v6_labels.npy"),
    ],
)
def test_labels_are_found_beside_the_images(tmp_path, images, labels):
    raw = pictures(10)
    np.save(tmp_path / images, raw)
    np.save(tmp_path / labels, np.arange(10) % 2)
    split = Arrays(str(tmp_path / images)).split("test")
    assert isinstance(split, MappedSplit)
    batch = split.__getitems__([7, 2, 7])
    torch.testing.assert_close(batch.x, torch.from_numpy(raw[[7, 2, 7]]).permute(0, 3, 1, 2) / 255)
    assert batch.y.tolist() == [1, 0, 1]


@pytest.fixture
def pair(tmp_path) -> list[str]:
    """An image file and a label file of other names."""
    np.save(tmp_path / "a.npy", pictures(20))
    np.save(tmp_path / "b.npy", np.arange(20) % 2)
    return [str(tmp_path / "a.npy"), str(tmp_path / "b.npy")]


def test_labels_may_be_named(pair):
    data = Arrays(test=pair, train=pair)
    assert numbers_in(data, "test") == list(range(20))
    assert len(data.split("validation")) == 2
    assert sorted(numbers_in(data, "train") + numbers_in(data, "validation")) == list(range(20))


def test_mapped_files_are_read_by_other_processes_and_stay_on_the_disk(pair):
    alone, helped = (Arrays(test=pair, eval_batch_size=8, workers=workers) for workers in (0, 1))
    for one, two in zip(alone.batches("test"), helped.batches("test"), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert len(pickle.dumps(alone.split("test"))) < Path(pair[0]).stat().st_size


def test_archives_follow_each_other(tmp_path):
    files = []
    for number in range(2):
        files.append(str(tmp_path / f"{number}.npz"))
        np.savez(files[-1], x=pictures(3, 10 * number), y=np.arange(3) % 2)
    assert numbers_in(Arrays(files), "test") == [0, 1, 2, 10, 11, 12]


@pytest.mark.parametrize(
    ("shape", "inner"), [((6, 12, 100), (12, 100)), ((6, 17, 17, 17), (1, 17, 17, 17)), ((6, 5), (5,))]
)
def test_signals_volumes_and_vectors_are_read(tmp_path, shape, inner):
    np.savez(tmp_path / "a.npz", x=RNG.random(shape), y=np.arange(6) % 2)
    data = Arrays(str(tmp_path / "a.npz"), bounds=(0.0, 1.0))
    assert data.shape == inner == data.split("test")[0].x.shape[1:]


def test_labels_minus_one_and_one_are_named(tmp_path):
    np.savez(tmp_path / "a.npz", x=pictures(4), y=np.array([-1, 1, 1, -1]))
    with pytest.raises(ValueError, match=r"a.npz: labels should number .* from -1 to 1. .*`classes: \[-1, 1\]`"):
        Arrays(str(tmp_path / "a.npz"))
    assert Arrays(str(tmp_path / "a.npz"), classes=[-1, 1]).split("test").labels.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (
            {"x": pictures(4)},
            r"a.npz: should hold `labels`. Found the keys \['x'\]. Name the right one with",
        ),
        ({"x": pictures(4), "images": pictures(4), "y": np.arange(4)}, "several keys may be the images: x, images"),
        (
            {"x": pictures(4), "y": np.arange(3) % 2},
            "a.npz: there should be one label per image. Found 4 .* 3 lab",
        ),
        ({"x": RNG.random((4, 8)), "y": np.arange(4) % 2}, "a.npz: `bounds` should say"),
        ({"x": pictures(4), "y": np.array([{}] * 4)}, "a.npz: not a NumPy file .*Python objects.*store plain arrays"),
    ],
)
def test_archive_that_cannot_be_right_is_refused(tmp_path, held, message):
    np.savez(tmp_path / "a.npz", **held)
    with pytest.raises(ValueError, match=message):
        Arrays(str(tmp_path / "a.npz")).split("test")


def test_shards_that_differ_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=pictures(4), y=np.arange(4) % 2)
    np.savez(tmp_path / "b.npz", x=pictures(4)[:, :7], y=np.arange(4) % 2)
    np.savez(tmp_path / "c.npz", x=pictures(4) / 255, y=np.arange(4) % 2)
    for name, message in (("b", r"b.npz: images should have shape \(3, 8, 8\)"), ("c", "c.npz: .* uint8.*float64")):
        with pytest.raises(ValueError, match=message):
            Arrays([str(tmp_path / f"{part}.npz") for part in ("a", name)]).split("test")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npz", b"PK no archive", "a.npz: not a NumPy file that can be read"),
        ("a.npz", b"", "a.npz: not a NumPy file that can be read"),
        ("a.npy", b"\x93NUMPY", "a.npy: not a NumPy file that can be read|its labels"),
        ("a.mat", b"", "a.mat: a split should be .npz files, or one .npy file of images and one of labels"),
    ],
)
def test_file_that_cannot_be_read_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    (tmp_path / "labels.npy").write_bytes(b"")
    with pytest.raises(ValueError, match=message):
        Arrays(str(tmp_path / name))


def test_images_without_labels_are_refused_with_both_remedies(tmp_path):
    np.save(tmp_path / "a.npy", pictures(4))
    with pytest.raises(ValueError, match=r"a.npy: its labels should lie beside it in labels.npy. .*\[a.npy, LABELS"):
        Arrays(str(tmp_path / "a.npy"))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone.npz: no such file. Name existing"):
        Arrays(str(tmp_path / "gone.npz"))


def test_missing_training_files_are_asked_for_when_they_are_needed(pair):
    with pytest.raises(ValueError, match=r'`train` should name .*"nearest" need. Found none. Name files in `train`'):
        Arrays(test=pair).residual("nearest")


def test_bad_value_in_a_mapped_file_is_refused_when_it_is_read(tmp_path):
    images = RNG.random((6, 1, 8, 8))
    images[4, 0, 3, 3] = np.nan
    np.save(tmp_path / "a.npy", images)
    np.save(tmp_path / "labels.npy", np.arange(6) % 2)
    split = Arrays(str(tmp_path / "a.npy"), bounds=(0.0, 1.0)).split("test")
    assert split.__getitems__([0, 1, 2]).x.shape == (3, 1, 8, 8)
    with pytest.raises(ValueError, match=r"a.npy: images should not hold NaN. Found 1"):
        split.__getitems__([4])

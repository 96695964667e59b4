"""CIFAR-10 and CIFAR-100: both forms of their files, the real ones, and what is said where they are missing."""

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import torchvision

from training.data import CIFAR10, CIFAR100
from training.strength import Strength

SPLITS = ("train", "validation", "test")


def numbered(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Images whose three channels say their number, but for one white pixel, and labels."""
    images = np.empty((stop - start, 3, 32, 32), np.uint8)
    images[:] = (np.arange(start, stop)[:, None] + np.array([0, 1, 2]))[:, :, None, None]
    images[:, :, 1, 5] = 255
    return images, np.arange(start, stop) % 10


def write_shards(root: Path, folder: str = "cifar10") -> None:
    """Five shards of twenty images for training, and thirty images for testing, in HDF5."""
    (root / folder).mkdir(parents=True)
    parts = {f"train-{number + 1}": (20 * number, 20 * number + 20) for number in range(5)} | {"test": (100, 130)}
    for name, (start, stop) in parts.items():
        with h5py.File(root / folder / f"{name}.h5", "w") as file:
            file["images"], file["labels"] = numbered(start, stop)


def write_batches(root: Path, reader: type, monkeypatch) -> None:
    """The same images in torchvision's form, without its check of their digests."""
    folder = root / reader.base_folder
    folder.mkdir(parents=True)
    ten = reader is torchvision.datasets.CIFAR10
    names = [f"data_batch_{number}" for number in range(1, 6)] if ten else ["train"]
    size = 100 // len(names)
    parts = {name: (size * number, size * number + size) for number, name in enumerate(names)}
    parts["test_batch" if ten else "test"] = (100, 130)
    for name, (start, stop) in parts.items():
        images, labels = numbered(start, stop)
        content = {"data": images.reshape(len(images), -1), "labels" if ten else "fine_labels": labels.tolist()}
        (folder / name).write_bytes(pickle.dumps(content))
    meta = reader.meta["filename"]
    (folder / meta).write_bytes(pickle.dumps({reader.meta["key"]: [str(number) for number in range(10)]}))
    for attribute in ("train_list", "test_list"):
        monkeypatch.setattr(reader, attribute, [(name, None) for name, _ in getattr(reader, attribute)])
    monkeypatch.setattr(reader, "meta", reader.meta | {"md5": None})


def write(form: str, kind: type[CIFAR10], root: Path, monkeypatch) -> None:
    if form == "shards":
        write_shards(root, kind.folders[0])
    else:
        write_batches(root, kind.reader, monkeypatch)


both_forms = pytest.mark.parametrize("form", ["shards", "batches"])
both_kinds = pytest.mark.parametrize("kind", [CIFAR10, CIFAR100])


@both_forms
@both_kinds
def test_test_split_is_the_file_in_its_order(form, kind, tmp_path, monkeypatch):
    write(form, kind, tmp_path, monkeypatch)
    split = kind(str(tmp_path)).split("test")
    images, labels = numbered(100, 130)
    assert torch.equal(split.images, torch.from_numpy(images))
    assert torch.equal(split.labels, torch.from_numpy(labels))


@both_forms
@both_kinds
def test_training_and_validation_share_out_the_training_files(form, kind, tmp_path, monkeypatch):
    write(form, kind, tmp_path, monkeypatch)
    data = kind(str(tmp_path))
    assert [len(data.split(name)) for name in SPLITS] == [90, 10, 30]
    numbers = torch.cat([data.split(name).images[:, 0, 0, 0] for name in ("train", "validation")])
    labels = torch.cat([data.split(name).labels for name in ("train", "validation")])
    assert sorted(numbers.tolist()) == list(range(100))
    assert torch.equal(labels, numbers.long() % 10)


def test_both_forms_hold_the_same_splits(tmp_path, monkeypatch):
    for form in ("shards", "batches"):
        write(form, CIFAR10, tmp_path / form, monkeypatch)
    for name in SPLITS:
        shards, batches = (CIFAR10(str(tmp_path / form)).split(name) for form in ("shards", "batches"))
        assert torch.equal(shards.images, batches.images)
        assert torch.equal(shards.labels, batches.labels)


def test_images_are_mapped_to_the_bounds(tmp_path):
    write_shards(tmp_path)
    for low, high in ((0.0, 1.0), (-1.0, 1.0)):
        data = CIFAR10(str(tmp_path), bounds=(low, high), eval_batch_size=30)
        x = next(iter(data.test_dataloader())).x
        expected = low + (high - low) * torch.arange(100, 130) / 255
        torch.testing.assert_close(x[:, 0, 4, 5], expected)
        assert (data.bounds, x.shape[1:]) == ((low, high), data.shape)
        assert x.is_contiguous()


def test_data_lie_between_zero_and_one_unless_told_otherwise():
    assert CIFAR10().bounds == CIFAR100().bounds == (0.0, 1.0)


@pytest.mark.parametrize(("share", "kept"), [(0.1, 10), (Strength("1/6"), 16), (0.001, 1)])
def test_share_for_validation_is_an_option(tmp_path, share, kept):
    write_shards(tmp_path)
    data = CIFAR10(str(tmp_path), validation_share=share)
    assert [len(data.split(name)) for name in SPLITS] == [100 - kept, kept, 30]


@both_forms
def test_only_some_classes_are_kept_in_the_order_that_is_asked(form, tmp_path, monkeypatch):
    write(form, CIFAR10, tmp_path, monkeypatch)
    data = CIFAR10(str(tmp_path), only=["dog", "cat"])
    assert (data.classes, data.num_classes, data.name) == (("dog", "cat"), 2, "CIFAR-10 dog/cat")
    split = data.split("test")
    numbers = split.images[:, 0, 0, 0].tolist()
    assert numbers == [103, 105, 113, 115, 123, 125]
    assert split.labels.tolist() == [1, 0] * 3
    assert sum(len(data.split(name)) for name in ("train", "validation")) == 20
    assert CIFAR10(str(tmp_path)).classes[0] == "airplane"


@pytest.mark.parametrize("only", [["cat"], ["cat", "cat"], ["cat", "cow"], []])
def test_classes_that_are_not_there_are_not_kept(only):
    with pytest.raises(ValueError, match=r"`only` should be two or more of airplane, .*, truck. Found"):
        CIFAR10(only=only)


def test_shuffle_is_fixed(tmp_path):
    write_shards(tmp_path)
    kept = [CIFAR10(str(tmp_path), seed=seed).split("validation").images for seed in (0, 1)]
    assert torch.equal(*kept)
    numbers = kept[0][:, 0, 0, 0].tolist()
    assert numbers != sorted(numbers)


@pytest.mark.parametrize("share", [1.0, -0.5])
def test_share_for_validation_lies_between_nothing_and_all(tmp_path, share):
    write_shards(tmp_path)
    with pytest.raises(ValueError, match=r"`validation_share` should lie in \[0, 1\). Found"):
        CIFAR10(str(tmp_path), validation_share=share).split("train")


def test_environment_names_the_folder(tmp_path, monkeypatch):
    write_shards(tmp_path)
    monkeypatch.setenv("ALPHADX_DATA", str(tmp_path))
    assert len(CIFAR10().split("test")) == 30


@both_kinds
def test_classes_are_named(kind):
    data = kind()
    assert data.num_classes == len(set(data.classes)) == {CIFAR10: 10, CIFAR100: 100}[kind]
    assert list(data.classes) == sorted(data.classes)


@both_kinds
def test_missing_files_are_named_with_both_layouts(tmp_path, kind):
    shards, batches = kind.folders
    expected = rf"neither {shards}/train-1.h5 to train-5.h5 and test.h5, nor whole files in {batches}/ .*`data_root`"
    with pytest.raises(FileNotFoundError, match=expected) as raised:
        kind(str(tmp_path)).split("train")
    assert str(tmp_path) in str(raised.value)


def test_damaged_batches_are_refused(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in ("data_batch_1", "test_batch", "batches.meta"):
        (folder / name).write_bytes(b"not CIFAR-10")
    with pytest.raises(FileNotFoundError, match=r"nor whole files in cifar-10-batches-py/"):
        CIFAR10(str(tmp_path)).split("test")


def test_missing_shard_is_named(tmp_path):
    write_shards(tmp_path)
    (tmp_path / "cifar10" / "train-3.h5").unlink()
    with pytest.raises(FileNotFoundError, match=r"train-3.h5: no such file"):
        CIFAR10(str(tmp_path)).split("train")


def test_shard_that_is_no_hdf5_file_is_named(tmp_path):
    write_shards(tmp_path)
    (tmp_path / "cifar10" / "test.h5").write_text("not images")
    with pytest.raises(ValueError, match=r"test.h5: not an HDF5 file"):
        CIFAR10(str(tmp_path)).split("test")


@pytest.mark.slow
@pytest.mark.data
def test_real_files_are_read(real_data):
    folder = real_data / "cifar10"
    if not folder.is_dir():
        pytest.skip(f"no CIFAR-10 at {folder}")
    data = CIFAR10(str(real_data), eval_batch_size=200)
    test = data.split("test")
    with h5py.File(folder / "test.h5") as file:
        assert np.array_equal(test.images.numpy(), file["images"][:])
        assert np.array_equal(test.labels.numpy(), file["labels"][:])
    counts = data.split("validation").labels.bincount()
    assert counts.sum() == 5_000
    assert (counts / 5_000 - 0.1).abs().max() < 0.02
    x = next(iter(data.test_dataloader())).x
    assert (x.min(), x.max()) == (0.0, 1.0)


def test_images_of_another_size(tmp_path, monkeypatch):
    write("shards", CIFAR10, tmp_path, monkeypatch)
    original, padded = (CIFAR10(str(tmp_path), size=size, resizing="pad") for size in (32, 40))
    images = padded.split("test").images
    assert padded.shape == (3, 40, 40) == tuple(images.shape[1:])
    assert torch.equal(images[..., 4:36, 4:36], original.split("test").images)
    small = CIFAR10(str(tmp_path), size=16).split("test").images
    assert small.shape[1:] == (3, 16, 16)
    assert small.dtype == torch.uint8
    grey = original.split("test").images[:, :, 20:, 20:].float().mean()
    assert float(small[:, :, 10:, 10:].float().mean()) == pytest.approx(float(grey), abs=1)

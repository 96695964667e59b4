"""Your own HDF5 files: what is read, how it is split, and what is said when a file cannot be right."""

import math
import pickle
from collections.abc import Callable

import h5py
import numpy as np
import pytest
import torch

from training.data import HDF5Images
from training.data.hdf5 import HDF5Split

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path) -> Write:
    """Writes arrays to an HDF5 file and returns its path."""

    def make(name: str, **arrays: np.ndarray) -> str:
        path = tmp_path / name
        with h5py.File(path, "w") as file:
            for key, values in arrays.items():
                file[key] = values
        return str(path)

    return make


def numbered(start: int, stop: int, **more: np.ndarray) -> dict[str, np.ndarray]:
    """Samples whose pixels say their number."""
    numbers = np.arange(start, stop)
    images = np.broadcast_to(numbers.astype(np.uint8)[:, None, None, None], (len(numbers), 1, 4, 4))
    return {"images": images, "labels": numbers % 2, **more}


def numbers_in(data: HDF5Images, split: str) -> list[int]:
    return data.split(split).images[:, 0, 0, 0].tolist()


def test_shape_and_classes_come_from_the_file(write):
    path = write("a.h5", images=np.zeros((6, 3, 4, 5), np.uint8), labels=np.array([0, 1, 2, 0, 1, 2]))
    data = HDF5Images([path], [path])
    assert (data.shape, data.num_classes, data.classes) == ((3, 4, 5), 3, ("0", "1", "2"))


def test_classes_may_be_named(write):
    path = write("a.h5", **numbered(0, 10))
    assert HDF5Images([path], [path], classes=["healthy", "ill"]).classes == ("healthy", "ill")


def test_shards_follow_each_other(write):
    shards = [write("a.h5", **numbered(0, 10)), write("b.h5", **numbered(10, 15))]
    data = HDF5Images(shards, shards)
    assert numbers_in(data, "test") == list(range(15))
    assert data.split("test").labels.tolist() == [number % 2 for number in range(15)]


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (0.0, 1.0)])
def test_bytes_are_mapped_to_bounds_with_exact_ends(write, bounds):
    images = np.array([0, 255, 51], np.uint8)[:, None]
    path = write("a.h5", images=images, labels=np.array([0, 1, 0]))
    x = HDF5Images([path], [path], bounds=bounds).split("test").__getitems__([0, 1, 2]).x.flatten()
    assert (x[0], x[1]) == bounds
    assert float(x[2]) == pytest.approx(bounds[0] + 0.2 * (bounds[1] - bounds[0]), abs=1e-7)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_point_values_are_taken_as_they_are(write, dtype):
    images = np.random.default_rng(0).uniform(-1, 1, (5, 7)).astype(dtype)
    path = write("a.h5", images=images, labels=np.arange(5) % 2)
    x = HDF5Images([path], [path], bounds=(-1.0, 1.0)).split("test").__getitems__(range(5)).x
    assert torch.equal(x, torch.from_numpy(images.astype(np.float32)))


def test_validation_is_a_fixed_share_of_the_training_files(write):
    path = write("a.h5", **numbered(0, 200))
    data = HDF5Images([path], [path], validation_share=0.25)
    kept, rest = numbers_in(data, "validation"), numbers_in(data, "train")
    assert len(kept) == 50
    assert sorted(kept + rest) == list(range(200))
    assert numbers_in(HDF5Images([path], [path], validation_share=0.25, seed=9), "validation") == kept


def test_validation_is_drawn_from_all_over_the_files(write):
    kept = numbers_in(HDF5Images([write("a.h5", **numbered(0, 200))], [], validation_share=0.25), "validation")
    assert min(kept) < 50
    assert max(kept) >= 150


@pytest.mark.parametrize("count", [3, 8])
def test_something_is_kept_for_validation_however_small_the_share(write, count):
    path = write("a.h5", **numbered(0, count))
    data = HDF5Images([path], [path], validation_share=0.1)
    assert (len(data.split("validation")), len(data.split("train"))) == (1, count - 1)


def test_own_validation_file_is_used_and_nothing_is_kept_back(write):
    train, validation = write("a.h5", **numbered(0, 20)), write("b.h5", **numbered(20, 25))
    data = HDF5Images([train], [train], [validation])
    assert numbers_in(data, "train") == list(range(20))
    assert numbers_in(data, "validation") == list(range(20, 25))


@pytest.mark.parametrize("kind", [np.int64, "S3"])
def test_group_is_never_divided(write, kind):
    patients = (np.arange(200) // 7 % 13).astype(kind)
    shards = [
        write("a.h5", **numbered(0, 120, group=patients[:120])),
        write("b.h5", **numbered(120, 200, group=patients[120:])),
    ]
    data = HDF5Images(shards, shards, validation_share=0.3)
    kept, rest = numbers_in(data, "validation"), numbers_in(data, "train")
    assert sorted(kept + rest) == list(range(200))
    assert not set(patients[kept]) & set(patients[rest])
    assert len(kept) > 0


@pytest.mark.parametrize("split", ["train", "validation"])
def test_single_group_cannot_be_divided(write, split):
    path = write("a.h5", **numbered(0, 20, group=np.zeros(20)))
    with pytest.raises(ValueError, match=r"a.h5.*`group` needs at least two groups. Found one. Name files in `valid"):
        HDF5Images([path], [path]).split(split)


def test_single_group_is_fine_where_nothing_is_kept_back(write):
    train, validation = write("a.h5", **numbered(0, 20, group=np.zeros(20))), write("b.h5", **numbered(20, 25))
    assert numbers_in(HDF5Images([train], [], [validation]), "train") == list(range(20))


def test_class_that_the_first_file_lacks_is_read_when_named(write):
    images = np.zeros((4, 3), np.uint8)
    shards = [
        write("a.h5", images=images, labels=np.array([0, 1, 0, 1])),
        write("b.h5", images=images, labels=np.array([2, 1, 2, 0])),
    ]
    data = HDF5Images(shards, shards, classes=["a", "b", "c"])
    assert data.split("test").labels.tolist() == [0, 1, 0, 1, 2, 1, 2, 0]


def test_files_that_are_not_asked_for_are_not_opened(write, tmp_path):
    data = HDF5Images([write("a.h5", **numbered(0, 20))], [str(tmp_path / "not yet.h5")])
    assert len(data.split("train")) == 18


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"labels": np.zeros(2, int)},
            r"should hold `images`. Found the keys \['labels'\]. Name the right one with `images`",
        ),
        ({"images": np.zeros((2, 3))}, r"should hold `labels`. Found the keys \['images'\]. Name the right one"),
        ({"images": np.zeros(2), "labels": np.zeros(2, int)}, r"images should .* Found shape \(2,\)"),
        (
            {"images": np.zeros((2, 3, 1, 1, 1, 1)), "labels": np.zeros(2, int)},
            r"images should have 2 to 5 dimensions .* Found shape \(2, 3, 1, 1, 1, 1\)",
        ),
        ({"images": np.zeros((2, 3)), "labels": np.zeros((2, 2, 1), int)}, r"labels .* Found shape \(2, 2, 1\)"),
        ({"images": np.zeros((2, 3)), "labels": np.ones((2, 2), int)}, r"labels .* Found int64 of shape \(2, 2\)"),
        (
            {"images": np.zeros((2, 3)), "x": np.zeros((2, 3)), "labels": np.zeros(2, int)},
            "several keys may be the images: images, x. Name one with `images`",
        ),
    ],
)
def test_file_without_its_content_is_refused_at_once(write, arrays, message):
    with pytest.raises(ValueError, match=f"bad.h5: .*{message}"):
        HDF5Images([write("bad.h5", **arrays)], [])


@pytest.mark.parametrize(
    ("labels", "found"), [([0.0, 0.5], "0.5"), ([0.0, math.nan], "nan"), ([0.0, math.inf], "inf")]
)
def test_labels_that_are_no_whole_numbers_are_refused_at_once(write, labels, found):
    with pytest.raises(ValueError, match=f"bad.h5: labels should be whole numbers. Found {found}. Probabilities"):
        HDF5Images([write("bad.h5", images=np.zeros((2, 3)), labels=np.array(labels))], [])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": np.zeros((4, 2, 3), np.uint8)}, r"images should have shape \(3,\), as in the first file"),
        ({"images": np.zeros((4, 3), np.int64)}, "images should be float32, as in the first file. Found int64"),
        ({"images": np.full((4, 3), np.nan)}, "images should not hold NaN. Found 12. Remove or impute them"),
        ({"images": np.full((4, 3), np.inf)}, "images should not hold infinite values. Found 12. Remove or impute"),
        ({"images": np.full((4, 3), 1.25)}, r"images should lie within \(-1.0, 1.0\). Found .* 1.25. Rescale them"),
        ({"images": np.zeros((5, 3))}, "one label per image. Found 5 images and 4 labels"),
        ({"labels": np.array([0, 1, 2, 1])}, r"labels should lie in \[0, 2\). Found .* 0 to 2. Number the classes"),
        ({"labels": np.array([0, 1, -1, 1])}, r"labels should lie in \[0, 2\). Found values from -1 to 1"),
        ({"labels": np.array([0.0, 1.0, 0.0, 0.5])}, "labels should be whole numbers. Found 0.5"),
        ({"group": np.zeros(3)}, "`group` should be one per label, 4. Found 3"),
    ],
)
def test_wrong_shard_is_refused_by_name(write, changed, message):
    fine = {"images": np.zeros((4, 3), np.float32), "labels": np.array([0, 1, 0, 1])}
    data = HDF5Images([write("fine.h5", **fine), write("bad.h5", **(fine | changed))], bounds=(-1.0, 1.0))
    with pytest.raises(ValueError, match=f"bad.h5: .*{message}"):
        data.split("train")


def test_group_in_some_shards_only_is_refused(write):
    shards = [write("a.h5", **numbered(0, 9, group=np.arange(9))), write("b.h5", **numbered(9, 20))]
    with pytest.raises(ValueError, match=r"b.h5.*either all shards or none should hold `group`"):
        HDF5Images(shards, []).split("train")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone.h5: no such file. Name existing HDF5 files"):
        HDF5Images([str(tmp_path / "gone.h5")], [])


def test_missing_shard_is_named(write, tmp_path):
    data = HDF5Images([write("a.h5", **numbered(0, 20)), str(tmp_path / "gone.h5")], [])
    with pytest.raises(FileNotFoundError, match=r"gone.h5: no such file"):
        data.split("train")


def test_file_of_another_format_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not images")
    with pytest.raises(ValueError, match=r"notes.txt: not an HDF5 file"):
        HDF5Images([str(path)], [])


@pytest.mark.parametrize("bounds", [(-math.inf, math.inf), (0.0, math.inf), (-math.inf, 0.0)])
def test_bytes_need_finite_bounds(write, bounds):
    path = write("a.h5", **numbered(0, 20))
    with pytest.raises(ValueError, match=r"a.h5: images in bytes need finite `bounds` to be mapped to. Found \("):
        HDF5Images([path], [path], bounds=bounds).split("train")


def test_data_set_without_files_is_refused():
    with pytest.raises(ValueError, match=r"`test` or `train` should name at least one file. Found none"):
        HDF5Images([], [])


def test_files_of_the_test_split_are_enough_to_measure(write):
    data = HDF5Images(test=write("a.h5", **numbered(0, 20)))
    assert numbers_in(data, "test") == list(range(20))
    for ask in (lambda: data.split("train"), lambda: data.residual("nearest")):
        with pytest.raises(ValueError, match=r'`train` should name .* the residual "nearest" need. Found none'):
            ask()


def test_split_without_files_is_refused(write):
    with pytest.raises(ValueError, match=r"`test` should name at least one file of the test split. Found none"):
        HDF5Images([write("a.h5", **numbered(0, 20))], []).split("test")


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5])
def test_share_for_validation_lies_between_nothing_and_all(write, share):
    path = write("a.h5", **numbered(0, 20))
    with pytest.raises(ValueError, match=r"`validation_share` should lie in \(0, 1\)"):
        HDF5Images([path], [path], validation_share=share)


@pytest.mark.slow
@pytest.mark.data
def test_cifar10_is_read_from_its_shards(real_data):
    folder = real_data / "cifar10"
    if not folder.is_dir():
        pytest.skip(f"no CIFAR-10 at {folder}")
    data = HDF5Images([str(folder / f"train-{part}.h5") for part in range(1, 6)], [str(folder / "test.h5")])
    test = data.split("test")
    assert data.shape == (3, 32, 32)
    assert test.labels.bincount().tolist() == [1000] * 10
    assert [len(data.split(split)) for split in ("train", "validation")] == [45_000, 5_000]
    assert (data.split("train").labels.bincount() + data.split("validation").labels.bincount()).tolist() == [
        5000
    ] * 10
    x = next(iter(data.test_dataloader())).x
    assert (x.min(), x.max()) == (0.0, 1.0)


def test_group_in_the_files_of_two_splits_is_refused(write):
    first = write("a.h5", **numbered(0, 6, group=np.array([0, 0, 1, 1, 2, 2])))
    second = write("b.h5", **numbered(6, 10, group=np.array([2, 2, 3, 3])))
    with pytest.raises(ValueError, match=r"a\.h5: shares 1 of its groups, such as 2, with .*b\.h5"):
        HDF5Images([first], [second]).split("test")


def test_channels_last_and_other_dimensions_are_read(write):
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 256, (4, 8, 9, 3), dtype=np.uint8)
    data = HDF5Images(test=write("a.h5", images=raw, labels=np.arange(4) % 2))
    assert data.shape == (3, 8, 9)
    assert torch.equal(data.split("test").images, torch.from_numpy(raw).permute(0, 3, 1, 2))
    assert "read as NHWC" in data.notes[0]
    for shape, inner in (((4, 2, 5, 6, 7), (2, 5, 6, 7)), ((4, 12, 90), (12, 90)), ((4, 30), (30,))):
        path = write(f"{len(shape)}.h5", images=rng.random(shape), labels=np.arange(4) % 2)
        assert HDF5Images(test=path, bounds=(0.0, 1.0)).split("test")[0].x.shape == (1, *inner)


def test_keys_may_be_named_and_lie_in_groups(write):
    path = write("a.h5", **{"deep/pixels": np.zeros((4, 3)), "deep/kind": np.arange(4) % 2, "note": np.zeros(9)})
    data = HDF5Images(test=path, images="deep/pixels", labels="deep/kind", bounds=(-1.0, 1.0))
    assert data.split("test").labels.tolist() == [0, 1, 0, 1]


def test_sixteen_bits_stay_so(write):
    raw = np.random.default_rng(0).integers(0, 65536, (20, 6), dtype=np.uint16)
    data = HDF5Images(write("a.h5", images=raw, labels=np.arange(20) % 2), bounds=(0.0, 1.0))
    found = [data.split(name) for name in ("train", "validation")]
    assert {split.raw.dtype for split in found} == {np.dtype(np.uint16)}
    x = torch.cat([split.__getitems__(range(len(split))).x for split in found])
    assert sorted(x[:, 0].mul(65535).round().int().tolist()) == sorted(raw[:, 0].tolist())


def test_floating_point_without_bounds_is_refused_with_its_range(write):
    path = write("a.h5", images=np.linspace(0, 1, 12).reshape(4, 3), labels=np.arange(4) % 2)
    with pytest.raises(ValueError, match=r"a.h5: `bounds` should say .* Found values from 0 to 1 in .* fit \[0, 1\]"):
        HDF5Images(test=path)


def test_bounds_that_the_images_hardly_fill_are_noted(write):
    path = write("a.h5", images=np.linspace(0, 1, 12).reshape(4, 3), labels=np.arange(4) % 2)
    (said,) = HDF5Images(test=path, bounds=(-1.0, 1.0)).notes
    assert "images fill only [0, 1] of the bounds [-1, 1]" in said


@pytest.fixture
def large(write, monkeypatch) -> list[str]:
    """Shards that are too large to be read at once."""
    monkeypatch.setattr("training.data.hdf5.HELD", 100)
    return [write("a.h5", **numbered(0, 12)), write("b.h5", **numbered(12, 30))]


def test_large_files_are_read_batch_by_batch_and_in_the_order_asked_for(large, monkeypatch):
    lazy = HDF5Images(large)
    splits = {name: lazy.split(name) for name in ("train", "validation")}
    monkeypatch.setattr("training.data.hdf5.HELD", 2**30)
    held = HDF5Images(large)
    order = [1, 0, 2, 1]
    for name, split in splits.items():
        assert isinstance(split, HDF5Split)
        assert not hasattr(split, "images")
        asked = order if name == "validation" else [20, 3, 3, *range(len(split))]
        assert all(
            torch.equal(a, b)
            for a, b in zip(split.__getitems__(asked), held.split(name).__getitems__(asked), strict=True)
        )


def test_large_files_are_read_by_other_processes(large):
    data = HDF5Images(test=large, eval_batch_size=8, workers=2)
    split = data.split("test")
    split.__getitems__([0])  # opened here before the others are forked
    found = torch.cat([batch.x for batch in data.batches("test")])
    assert found[:, 0, 0, 0].mul(255).round().int().tolist() == list(range(30))
    assert torch.equal(pickle.loads(pickle.dumps(split)).__getitems__([29]).x, found[29:])


def test_bad_value_in_a_large_file_is_refused_when_it_is_read(write, monkeypatch):
    monkeypatch.setattr("training.data.hdf5.HELD", 0)
    images = np.zeros((6, 3))
    images[5, 1] = 3.0
    split = HDF5Images(test=write("a.h5", images=images, labels=np.arange(6) % 2), bounds=(-1.0, 1.0)).split("test")
    assert len(split.__getitems__([0, 4]).x) == 2
    with pytest.raises(ValueError, match=r"a.h5: images should lie within \(-1.0, 1.0\)"):
        split.__getitems__([5])

"""The store of residuals: what is read is what was computed, or a sentence that says why not."""

import errno
import json
import os
import pickle
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
from torch import Tensor

from generators import ExactResidual, NearestExample, ResidualEstimator, ResidualStore, StoredResidual, radial
from generators.files import part_of
from generators.store import fingerprint, for_samples, moved_together, writing
from training.data import Augmentation, Split

SHAPES = [(6,), (1, 4, 5), (3, 8, 8)]


def some(count: int = 20, shape: tuple[int, ...] = (1, 4, 5), classes: int = 3) -> Split:
    generator = torch.Generator().manual_seed(1)
    return Split(torch.rand(count, *shape, generator=generator) * 2 - 1, torch.arange(count) % classes, (-1.0, 1.0))


class Counting:
    """Answers (target − y + 1)·x, remembers whom it was asked about, and gives up when it was asked often enough."""

    name, digest = "counting", "abc"

    def __init__(self, patience: float = float("inf"), rest: float = 0, log: Path | None = None) -> None:
        self.settings: dict[str, Any] = {"factor": 1.5}
        self.patience, self.rest, self.log, self.asked = patience, rest, log, []

    def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        if self.patience <= 0:
            raise InterruptedError("tired")
        self.patience -= 1
        time.sleep(self.rest)
        self.asked += [(float(image.sum()), int(c)) for image, c in zip(x, target, strict=True)]
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{len(x)} {os.getpid()}\n")
        return truth(x, y, target)


def truth(x: Tensor, y: Tensor, target: Tensor) -> Tensor:
    return (target - y + 0.7).reshape(-1, *[1] * (x.ndim - 1)) * x


def made(path: Path, samples: Split | None = None, estimator: Any = None, **options: Any) -> ResidualStore:
    wanted: dict[str, Any] = {"data": "toy", "split": "train", "classes": [0, 1, 2], "batch": 8}
    return ResidualStore(path, estimator or Counting(), some() if samples is None else samples, **wanted | options)


def pairs(samples: Split, classes: Sequence[int]) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Every sample to every other class, with its index."""
    batch = samples.__getitems__(range(len(samples)))
    for c in classes:
        other = batch.y != c
        yield batch.x[other], batch.y[other], torch.full_like(batch.y[other], c), batch.indices[other]


def assert_holds(stored: StoredResidual, samples: Split, expected: Callable[..., Tensor] = truth) -> None:
    for x, y, target, indices in pairs(samples, stored.classes):
        found = stored.at(indices)(x, y, target)
        wanted = expected(x, y, target)
        assert found.dtype == torch.float32
        largest = wanted.flatten(1).abs().amax(1).reshape(-1, *[1] * (x.ndim - 1))
        assert ((found - wanted).abs() <= 2**-11 * largest).all()


@pytest.mark.parametrize("memory", [0, 2**30], ids=["file", "memory"])
@pytest.mark.parametrize("batch", [pytest.param(1, marks=pytest.mark.slow), 7, 100])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_read_is_what_was_computed(tmp_path: Path, shape: tuple[int, ...], batch: int, memory: int) -> None:
    samples = some(shape=shape)
    made(tmp_path / "store.h5", samples, batch=batch).fill()
    stored = StoredResidual(tmp_path / "store.h5", memory=memory)
    assert stored.pairs == 40
    assert stored.shape == shape
    assert_holds(stored, samples)


def test_exact_residuals_of_spheres_keep_eleven_bits(tmp_path: Path) -> None:
    directions = torch.nn.functional.normalize(torch.randn(30, 50), dim=1)
    samples = Split(directions * torch.tensor([1.0, 1.3]).repeat(15)[:, None], torch.arange(30) % 2, (-9.0, 9.0))
    exact = ExactResidual(radial((1.0, 1.3)))
    stored = made(tmp_path / "store.h5", samples, exact, classes=[0, 1]).fill()
    assert_holds(stored, samples, exact)
    assert (stored.name, stored.settings, stored.digest) == (exact.name, exact.settings, exact.digest)


@pytest.mark.parametrize("size", [1e-37, 1e-20, 1e-6, 1.0, 7e4, 1e15, 1.5e38])
def test_residuals_of_any_size_keep_their_bits(tmp_path: Path, size: float) -> None:
    samples = some(count=4, classes=2)

    class Sized(Counting):
        def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
            return x * size

    stored = made(tmp_path / "store.h5", samples, Sized(), classes=[0, 1]).fill()
    assert_holds(stored, samples, lambda x, y, target: x * size)


def test_zero_residuals_are_zero(tmp_path: Path) -> None:
    samples = some()
    stored = made(tmp_path / "store.h5", samples, ExactResidual(lambda x, y, target: 0 * x)).fill()
    assert_holds(stored, samples, lambda x, y, target: 0 * x)


def test_samples_may_be_asked_for_in_any_order_and_repeatedly(tmp_path: Path) -> None:
    samples = some()
    made(tmp_path / "store.h5", samples).fill()
    order = torch.tensor([19, 3, 3, 0, 7, 3])
    batch = samples.__getitems__(order.tolist())
    target = (batch.y + torch.tensor([1, 2, 1, 1, 2, 1])) % 3
    for memory in (0, 2**30):
        found = StoredResidual(tmp_path / "store.h5", memory=memory).at(order)(*batch[:2], target)
        torch.testing.assert_close(found, truth(batch.x, batch.y, target), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("memory", [0, 2**30])
def test_no_samples_have_no_residuals(tmp_path: Path, memory: int) -> None:
    made(tmp_path / "store.h5").fill()
    none = torch.zeros(0, dtype=torch.int64)
    stored = StoredResidual(tmp_path / "store.h5", memory=memory)
    assert stored.at(none)(torch.zeros(0, 1, 4, 5), none, none).shape == (0, 1, 4, 5)


def test_some_classes_and_some_samples_can_be_stored(tmp_path: Path) -> None:
    estimator = Counting()
    stored = made(tmp_path / "store.h5", estimator=estimator, classes=[2, 0], limit=10).fill()
    assert stored.pairs == len(estimator.asked) == 7 + 6
    assert_holds(stored, Split(some().images[:10], some().labels[:10], (-1.0, 1.0)))


def test_own_classes_are_neither_computed_nor_stored(tmp_path: Path) -> None:
    estimator, samples = Counting(), some()
    stored = made(tmp_path / "store.h5", samples, estimator).fill()
    own = {(float(x.sum()), int(y)) for x, y in zip(samples.images, samples.labels, strict=True)}
    assert not own & set(estimator.asked)
    assert len(estimator.asked) == len(set(estimator.asked)) == stored.pairs == 40


def test_result_carries_no_graph_and_leaves_the_input_alone(tmp_path: Path) -> None:
    samples = some()
    stored = made(tmp_path / "store.h5", samples).fill()
    batch = samples.__getitems__([0, 1])
    x = batch.x.requires_grad_()
    first = stored.at(batch.indices)(x, batch.y, (batch.y + 1) % 3)
    assert not first.requires_grad
    first.zero_()
    assert stored.at(batch.indices)(x, batch.y, (batch.y + 1) % 3).abs().sum() > 0


def test_reader_survives_pickling(tmp_path: Path) -> None:
    samples = some()
    stored = made(tmp_path / "store.h5", samples).fill()
    assert_holds(pickle.loads(pickle.dumps(stored)), samples)


# -- what a store is of


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"data": "other"}, "`data` is 'toy' where 'other' is expected"),
        ({"split": "test"}, "`split` is 'train' where 'test' is expected"),
        ({"classes": [0, 1]}, r"`classes` is \[0, 1, 2\] where \[0, 1\] is expected"),
        ({"limit": 10}, "`samples` is 20 where 10 is expected; `digest` is "),
        ({"samples": Split(-some().images, some().labels, (-1.0, 1.0))}, "`digest` is "),
        ({"samples": Split(some().images, (some().labels + 1) % 3, (-1.0, 1.0))}, "`digest` is "),
        ({"name": "someone"}, "`estimator` is 'counting' where 'someone' is expected"),
        ({"settings": {"factor": 2}}, r"`settings` is {'factor': 1.5} where {'factor': 2} is expected"),
        ({"digest": "xyz"}, "`weights` is 'abc' where 'xyz' is expected"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_store_of_something_else_is_refused(
    tmp_path: Path, options: dict[str, Any], said: str, finished: bool
) -> None:
    path = tmp_path / "store.h5"
    if finished:
        made(path).fill()
    else:
        with pytest.raises(InterruptedError):
            made(path, estimator=Counting(patience=2)).fill()
    estimator = Counting()
    for key in {"name", "settings", "digest"} & options.keys():
        setattr(estimator, key, options[key])
    others = {key: value for key, value in options.items() if key not in ("name", "settings", "digest", "samples")}
    store = made(path, options.get("samples"), estimator, **others)
    with pytest.raises(ValueError, match=said):
        store.fill()
    assert not estimator.asked
    if finished:
        with pytest.raises(ValueError, match=said):
            StoredResidual(path, store.identity)


def test_all_that_differs_is_named_and_only_what_is_expected_is_compared(tmp_path: Path) -> None:
    made(tmp_path / "store.h5").fill()
    with pytest.raises(ValueError, match=r"store\.h5 holds .*`data` is 'toy' .*`split` is 'train'") as refusal:
        StoredResidual(tmp_path / "store.h5", {"data": "other", "split": "test", "estimator": "counting"})
    assert "estimator" not in str(refusal.value)
    StoredResidual(tmp_path / "store.h5", {"data": "toy"})


@pytest.mark.parametrize(
    ("key", "value"), [("estimator", None), ("settings", None), ("classes", 3), ("classes", ["0"])]
)
def test_store_that_does_not_say_what_it_holds_is_refused(tmp_path: Path, key: str, value: object) -> None:
    made(tmp_path / "store.h5").fill()
    with h5py.File(tmp_path / "store.h5", "r+") as file:
        if value is None:
            del file.attrs[key]
        else:
            file.attrs[key] = json.dumps(value)
    with pytest.raises(ValueError, match=rf"cannot be read as a store of residuals: .*{key}"):
        StoredResidual(tmp_path / "store.h5")


def test_store_of_another_format_is_refused(tmp_path: Path) -> None:
    made(tmp_path / "store.h5").fill()
    with h5py.File(tmp_path / "store.h5", "r+") as file:
        file.attrs["format"] = json.dumps(99)
    with pytest.raises(
        ValueError,
        match=r"store\.h5 has format 99, which a later version of alphadx wrote",
    ):
        StoredResidual(tmp_path / "store.h5")


def test_digest_does_not_depend_on_how_samples_are_read(tmp_path: Path) -> None:
    assert made(tmp_path / "a.h5", batch=3).digest == made(tmp_path / "b.h5", batch=20).digest


def test_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.h5: no such store of residuals"):
        StoredResidual(tmp_path / "nowhere.h5")


@pytest.mark.parametrize("content", ["nonsense", "images"])
def test_other_files_are_no_stores(tmp_path: Path, content: str) -> None:
    path = tmp_path / "store.h5"
    if content == "nonsense":
        path.write_bytes(b"nonsense")
    else:
        with h5py.File(path, "w") as file:
            file["images"], file.attrs["made by"] = torch.zeros(2, 3).numpy(), "somebody"
    with pytest.raises(ValueError, match=r"store\.h5 cannot be read as a store of residuals"):
        StoredResidual(path)


# -- whom a residual belongs to


def test_store_itself_is_no_estimator_without_indices(tmp_path: Path) -> None:
    stored = made(tmp_path / "store.h5").fill()
    with pytest.raises(ValueError, match=r"Ask `at\(indices\)`"):
        stored(*some().__getitems__([0])[:2], torch.tensor([1]))


def test_any_estimator_can_be_had_for_the_samples_of_a_batch(tmp_path: Path) -> None:
    samples = some()
    stored, other = made(tmp_path / "store.h5", samples).fill(), Counting()
    batch = samples.__getitems__([4, 2])
    target = (batch.y + 1) % 3
    assert for_samples(other, batch.indices) is other
    torch.testing.assert_close(
        for_samples(stored, batch.indices)(batch.x, batch.y, target),
        other(batch.x, batch.y, target),
        rtol=1e-3,
        atol=1e-3,
    )
    assert isinstance(stored, ResidualEstimator)
    assert isinstance(stored.at(batch.indices), ResidualEstimator)


Changed = Callable[[Tensor], Tensor]
CHANGES: dict[str, Changed] = {
    "flip": lambda x: x.flip(-1),
    "shift": lambda x: x.roll(1, dims=-1),
    "one pixel by one 255th": lambda x: (
        x + torch.nn.functional.one_hot(torch.tensor(0), x[0].numel()).view_as(x[:1]) / 127.5
    ),
    "NaN": lambda x: x * torch.nan,
    "noise": lambda x: x + 1e-4 * torch.randn_like(x),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_augmented_image_is_refused(tmp_path: Path, change: Changed) -> None:
    samples = some()
    stored = made(tmp_path / "store.h5", samples).fill()
    batch = samples.__getitems__([5, 6, 7])
    x = batch.x.clone()
    x[1:2] = change(x[1:2])
    with pytest.raises(ValueError, match=r"one unaugmented image\. Found other images at the indices 6\.$"):
        stored.at(batch.indices)(x, batch.y, (batch.y + 1) % 3)


def test_last_bits_may_differ_between_machines(tmp_path: Path) -> None:
    samples = some(shape=(3, 32, 32))
    stored = made(tmp_path / "store.h5", samples).fill()
    batch = samples.__getitems__(range(20))
    target = (batch.y + 1) % 3
    for x in (
        torch.nextafter(batch.x, torch.tensor(9.0)),
        torch.nextafter(batch.x, torch.tensor(-9.0)),
        batch.x.double(),
    ):
        stored.at(batch.indices)(x, batch.y, target)


def test_another_order_is_refused(tmp_path: Path) -> None:
    samples = some()
    stored = made(tmp_path / "store.h5", samples).fill()
    batch = samples.__getitems__([0, 3, 6, 9, 12])
    with pytest.raises(ValueError, match=r"Found other images at the indices 12, 9, 3, …"):
        stored.at(batch.indices.flip(0))(batch.x, batch.y, batch.y + 1)


def test_other_classes_are_refused(tmp_path: Path) -> None:
    samples = some()
    stored = made(tmp_path / "store.h5", samples).fill()
    batch = samples.__getitems__([0, 1])
    with pytest.raises(
        ValueError, match=r"`y` should be the classes of .* train split of toy .* Found others at the indices 1\."
    ):
        stored.at(batch.indices)(batch.x, torch.tensor([0, 2]), torch.tensor([1, 0]))


def test_own_class_is_refused(tmp_path: Path) -> None:
    samples = some()
    stored = made(tmp_path / "store.h5", samples).fill()
    batch = samples.__getitems__([3, 4])
    with pytest.raises(
        ValueError, match=r"`target` should differ from `y`\. Found a sample's own class at the indices 4\."
    ):
        stored.at(batch.indices)(batch.x, batch.y, torch.tensor([1, 1]))


@pytest.mark.parametrize("target", [1, 3, -1])
def test_class_that_is_not_stored_is_refused(tmp_path: Path, target: int) -> None:
    samples = some()
    stored = made(tmp_path / "store.h5", samples, classes=[0, 2]).fill()
    batch = samples.__getitems__([0, 3])
    with pytest.raises(ValueError, match=rf"`target` should be among the classes in .*, \[0, 2\]\. Found {target}\."):
        stored.at(batch.indices)(batch.x, batch.y, torch.tensor([2, target]))


@pytest.mark.parametrize(("index", "limit"), [(-1, None), (20, None), (10, 10)])
def test_index_out_of_range_is_refused(tmp_path: Path, index: int, limit: int | None) -> None:
    stored = made(tmp_path / "store.h5", limit=limit).fill()
    with pytest.raises(ValueError, match=rf"`indices` should lie in \[0, {limit or 20}\), .* Found values from"):
        stored.at(torch.tensor([3, index]))


@pytest.mark.parametrize("x", [torch.zeros(2, 1, 5, 4), torch.zeros(2, 20), torch.zeros(3, 1, 4, 5)])
def test_images_of_another_shape_are_refused(tmp_path: Path, x: Tensor, as_in_production: None) -> None:
    stored = made(tmp_path / "store.h5").fill()
    with pytest.raises(ValueError, match=r"`x` should be .*, of shape \(2, 1, 4, 5\)\. Found \("):
        stored.at(torch.tensor([0, 1]))(x, torch.tensor([0, 1]), torch.tensor([1, 2]))


def test_fingerprint_is_the_sum_that_it_says() -> None:
    x = torch.randn(3, 2, 2)
    value, _ = fingerprint(x)
    expected = [
        sum(
            torch.tensor(j * j, dtype=torch.float64).cos() * pixel.double() for j, pixel in enumerate(image.flatten())
        )
        for image in x
    ]
    torch.testing.assert_close(value, torch.stack(expected), rtol=1e-13, atol=0)


# -- filling


def test_finished_store_is_left_alone(tmp_path: Path) -> None:
    made(tmp_path / "store.h5").fill()
    before = (tmp_path / "store.h5").read_bytes()
    idle = Counting(patience=0)
    made(tmp_path / "store.h5", estimator=idle).fill()
    assert (tmp_path / "store.h5").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["store.h5"]


@pytest.mark.parametrize("done", [1, 4, 8])
def test_interrupted_filling_goes_on_where_it_stopped(tmp_path: Path, done: int) -> None:
    path, tired, fresh = tmp_path / "store.h5", Counting(patience=done), Counting()
    with pytest.raises(InterruptedError):
        made(path, estimator=tired).fill()
    assert not path.exists()
    store = made(path, estimator=fresh)
    assert store.filled == len(tired.asked) > 0
    assert_holds(store.fill(), some())
    assert len(tired.asked) + len(fresh.asked) == len({*tired.asked, *fresh.asked}) == 40
    assert [file.name for file in tmp_path.iterdir()] == ["store.h5"]


def test_filling_killed_before_it_was_put_together_computes_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(h5py.Group, "__getitem__", _interrupt_store_tmp(h5py.Group.__getitem__))
        with pytest.raises(InterruptedError):
            made(tmp_path / "store.h5").fill()
    assert (tmp_path / "store.h5.parts" / "store.tmp").exists()
    assert_holds(made(tmp_path / "store.h5", estimator=Counting(patience=0)).fill(), some())
    assert [file.name for file in tmp_path.iterdir()] == ["store.h5"]


def _interrupt_store_tmp(found: Callable) -> Callable:
    def get(group: h5py.Group, name: str) -> Any:
        if str(group.file.filename).endswith("store.tmp"):
            raise InterruptedError("killed")
        return found(group, name)

    return get


def test_unfinished_filling_goes_on_only_in_blocks_of_the_same_size(tmp_path: Path) -> None:
    with pytest.raises(InterruptedError):
        made(tmp_path / "store.h5", estimator=Counting(patience=1)).fill()
    with pytest.raises(ValueError, match="`batch` is 8 where 4 is expected"):
        made(tmp_path / "store.h5", batch=4).fill()


def test_progress_counts_pairs_up_to_all(tmp_path: Path) -> None:
    told: list[int] = []
    store = made(tmp_path / "store.h5")
    assert (store.filled, store.pairs) == (0, 40)
    store.fill(progress=told.append)
    assert told == sorted(told)
    assert told[0] < told[-1] == store.filled == 40


def test_torn_temporary_files_of_a_killed_process_are_written_anew(tmp_path: Path) -> None:
    parts = tmp_path / "store.h5.parts"
    parts.mkdir()
    for name in (*(part_of(Path(name)).name for name in ("identity.json", "class0_sample1.h5")), "store.tmp"):
        (parts / name).write_bytes(b"torn")
    assert_holds(made(tmp_path / "store.h5").fill(), some())


@pytest.mark.parametrize("torn", ["identity.json.part", "class1_sample8.h5.part", "store.tmp"])
def test_full_disk_is_said_and_filling_goes_on_when_there_is_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: str
) -> None:
    class Full:
        """A file on a disk that is full after a few bytes."""

        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *error: object) -> None:
            self.file.close()

        def write(self, content: bytes) -> None:
            self.file.write(content[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    opened, first = Path.open, Counting()

    def open_torn(path: Path, mode: str = "r", **options: Any) -> Any:
        file = opened(path, mode, **options)
        return Full(file) if re.sub(r"\.[0-9a-f]{8}-\d+\.part$", ".part", path.name) == torn else file

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", open_torn)
        with pytest.raises(OSError, match=r"the disk is full; [\d,]+ bytes are needed") as refusal:
            made(tmp_path / "store.h5", estimator=first).fill()
    assert refusal.value.errno == errno.ENOSPC
    assert not (tmp_path / "store.h5").exists()
    assert not [*tmp_path.rglob("*.tmp"), *tmp_path.rglob("*.part")]
    second = Counting()
    assert_holds(made(tmp_path / "store.h5", estimator=second).fill(), some())
    repeated = 6 if "class" in torn else 0  # the block that could not be written
    assert len(first.asked) + len(second.asked) == 40 + repeated


def test_enough_space_is_taken_before_the_parts_are_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HDF5 itself must never meet a full disk, at which it crashes."""
    sizes: dict[str, int] = {}
    written = writing.write_reserved

    def watched(path: Path, content: bytes, size: int) -> None:
        written(path, content, size)
        sizes[path.name] = path.stat().st_size

    monkeypatch.setattr(writing, "write_reserved", watched)
    samples = some(count=300, shape=(1, 28, 28))
    made(tmp_path / "store.h5", samples, batch=64).fill()
    final = (tmp_path / "store.h5").stat().st_size
    assert final <= sizes["store.tmp"] <= 1.3 * final


@pytest.mark.parametrize("mistake", ["shape", "NaN"])
def test_wrong_results_of_an_estimator_are_refused(tmp_path: Path, mistake: str) -> None:
    def rule(x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        if mistake == "shape":
            return x[:, :, :2]
        return torch.where((y == 1).reshape(-1, 1, 1, 1), torch.nan, x)

    class Wrong(Counting):
        def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
            return rule(x, y, target)

    said = {"shape": r"'counting' should return the shape of x", "NaN": r"infinite values for sample 1 and class 0"}
    with pytest.raises(ValueError, match=said[mistake]):
        made(tmp_path / "store.h5", estimator=Wrong()).fill()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch": 0}, "`batch` should be at least 1. Found 0"),
        ({"limit": 0}, "`limit` should be at least 1. Found 0"),
        ({"classes": []}, r"`classes` should be one or more different ones. Found \[\]"),
        ({"classes": [1, 1]}, r"`classes` should be one or more different ones. Found \[1, 1\]"),
        ({"samples": some(0)}, "`samples` should hold at least one sample"),
        ({"samples": some(classes=1), "classes": [0]}, "`classes` should not be the only class"),
    ],
)
def test_what_cannot_be_stored_is_refused(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        made(tmp_path / "store.h5", **options)


# -- several processes


def _fill_slowly(path: Path, log: Path) -> None:
    torch.set_num_threads(1)
    made(path, estimator=Counting(rest=0.05, log=log), batch=2).fill()


@pytest.mark.slow
def test_two_processes_divide_the_work(tmp_path: Path) -> None:
    path, log = tmp_path / "store.h5", tmp_path / "log"
    fillers = [get_context("spawn").Process(target=_fill_slowly, args=(path, log)) for _ in range(2)]
    for filler in fillers:
        filler.start()
    for filler in fillers:
        filler.join(100)
    assert [filler.exitcode for filler in fillers] == [0, 0]
    assert_holds(StoredResidual(path), some())
    asked = [line.split() for line in log.read_text().splitlines()]
    assert sum(int(count) for count, _ in asked) == 40
    assert not (tmp_path / "store.h5.parts").exists()


def test_process_that_comes_when_another_finishes_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one puts the store together and removes the parts while this one asks for a lock."""
    path = tmp_path / "store.h5"
    made(path).fill()
    late = made(path, estimator=Counting(patience=0))
    finished, removed = path.read_bytes(), [False]
    path.unlink()

    def vanished(file: Path, *, wait: bool) -> Any:
        path.write_bytes(finished)
        shutil.rmtree(path.with_name("store.h5.parts"), ignore_errors=True)
        removed[0] = True
        raise FileNotFoundError("no such lock")

    monkeypatch.setattr(writing, "lock", vanished)
    assert_holds(late.fill(), some())
    assert removed[0]


@pytest.mark.slow
def test_killed_process_leaves_nothing_torn_and_nothing_to_repeat(tmp_path: Path) -> None:
    path, log = tmp_path / "store.h5", tmp_path / "log"
    filler = get_context("spawn").Process(target=_fill_slowly, args=(path, log))
    filler.start()
    while len([*path.with_name("store.h5.parts").glob("*.h5")]) < 5:
        time.sleep(0.02)
    os.kill(filler.pid or 0, signal.SIGKILL)
    filler.join(10)
    fresh = Counting()
    store = made(path, estimator=fresh, batch=2)
    done = store.filled
    assert 0 < done < 40
    assert_holds(store.fill(), some())
    assert done + len(fresh.asked) == 40


# -- image and x̂' under one augmentation

AUGMENTATIONS = {
    "crop": Augmentation(crop=3, flip=False),
    "flip": Augmentation(crop=0, flip=True),
    "rotation": Augmentation(crop=0, flip=False, rotation=30.0),
    "cutout": Augmentation(crop=0, flip=False, cutout=5),
    "all": Augmentation(crop=2, flip=True, rotation=15.0, cutout=3),
}


@pytest.mark.parametrize("augmentation", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_image_and_its_goal_are_moved_alike(augmentation: Augmentation) -> None:
    """Every image and its goal are augmented as if they were channels of one image."""
    x, goal = torch.rand(16, 1, 12, 12), torch.rand(16, 1, 12, 12)
    augment = partial(augmentation, bounds=(0.0, 1.0), seed=3)
    moved, residual = moved_together(augment, x, goal - x)
    both = augment(torch.cat([x, goal], dim=1))
    torch.testing.assert_close(moved, both[:, :1])
    torch.testing.assert_close(moved + residual, both[:, 1:])
    assert not torch.allclose(moved, x)


def test_images_that_are_moved_together_move_differently_from_each_other() -> None:
    x = torch.rand(1, 1, 12, 12).expand(16, -1, -1, -1)
    augment = partial(AUGMENTATIONS["all"], bounds=(0.0, 1.0), seed=3)
    moved, residual = moved_together(augment, x, 0.5 - x)
    assert len(moved.unique(dim=0)) > 8
    assert torch.equal(moved, augment(x))
    assert len(residual.unique(dim=0)) > 8


def test_stored_residual_moves_with_its_augmented_image(tmp_path: Path) -> None:
    samples = some(shape=(1, 8, 8))
    nearest = NearestExample(samples.images, samples.labels)
    stored = made(tmp_path / "store.h5", samples, nearest).fill()
    batch = samples.__getitems__(range(20))
    target = (batch.y + 1) % 3
    augment = partial(Augmentation(crop=1), bounds=(-1.0, 1.0), seed=0)
    moved, residual = moved_together(augment, batch.x, stored.at(batch.indices)(batch.x, batch.y, target))
    goal = batch.x + nearest(batch.x, batch.y, target)
    torch.testing.assert_close(moved + residual, augment(goal), rtol=0, atol=2e-3)

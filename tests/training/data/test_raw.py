"""Raw arrays of every type: which value becomes which, and what is refused or said."""

import numpy as np
import pytest
import torch

from training.data.raw import HeldSplit, form_of, split_in_memory
from training.data.split import Split

BOUNDS = (-1.0, 1.0)


def batch(raw: np.ndarray, bounds: tuple[float, float] | None = BOUNDS, levels: int | None = None) -> torch.Tensor:
    """What a split makes of raw samples."""
    form, _ = form_of(raw, bounds=bounds, levels=levels, source="a")
    return split_in_memory(raw, np.zeros(len(raw), np.int64), form, 2, "a").__getitems__(range(len(raw))).x


@pytest.mark.parametrize(
    ("dtype", "levels", "highest"),
    [
        (np.uint8, None, 255),
        (np.uint8, 16, 16),
        (np.uint16, None, 65535),
        (np.uint16, 4095, 4095),
        (np.int16, 4095, 4095),
        (np.int64, 255, 255),
        (np.bool_, None, 1),
    ],
)
@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (0.0, 1.0), (-2.1179, 2.64)])
def test_whole_numbers_are_mapped_to_the_bounds_which_are_met_exactly(dtype, levels, highest, bounds):
    raw = np.linspace(0, highest, 20).round().astype(dtype)[:, None]
    x = batch(raw, bounds, levels)[:, 0]
    assert (x.dtype, x[0], x[-1]) == (torch.float32, torch.tensor(bounds[0]), torch.tensor(bounds[1]))
    exact = bounds[0] + (bounds[1] - bounds[0]) * raw[:, 0].astype(float) / highest
    torch.testing.assert_close(x.double(), torch.from_numpy(exact), rtol=0, atol=1e-6)


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (0.0, 1.0), (-2.1179, 2.64)])
def test_sixteen_bits_are_not_lost(bounds):
    x = batch(np.arange(65536, dtype=np.uint16)[:, None], bounds)[:, 0]
    assert (x.diff() > 0).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_floating_point_is_taken_as_it_is(dtype):
    raw = np.random.default_rng(0).uniform(-1, 1, (5, 7)).astype(dtype)
    assert torch.equal(batch(raw), torch.from_numpy(raw.astype(np.float32)))


@pytest.mark.parametrize(
    ("dtype", "held"), [(np.uint8, torch.uint8), (np.float32, torch.float32), (np.float64, torch.float32)]
)
def test_samples_are_held_small(dtype, held):
    raw = np.linspace(0, 1, 12).reshape(3, 4).astype(dtype)
    form, _ = form_of(raw, bounds=(0.0, 1.0), levels=255 if dtype == np.uint8 else None, source="a")
    split = split_in_memory(raw, np.zeros(3, np.int64), form, 2, "a")
    assert type(split) is Split
    assert split.images.dtype == held


@pytest.mark.parametrize("dtype", [np.uint16, np.float16, np.bool_])
def test_what_is_neither_bytes_nor_32_bits_is_held_as_it_is(dtype):
    raw = np.linspace(0, 1, 12).reshape(3, 4).astype(dtype)
    form, _ = form_of(raw, bounds=(0.0, 1.0), source="a")
    split = split_in_memory(raw, np.zeros(3, np.int64), form, 2, "a")
    assert isinstance(split, HeldSplit)
    assert split.raw is raw
    assert torch.equal(split.__getitems__([2, 0, 2]).x[[0, 1]], split.__getitems__([2, 0]).x)


@pytest.mark.parametrize(
    ("low", "high", "advice"),
    [
        (0, 1, r"They fit \[0, 1\] and \[-1, 1\] and \[0, 255\]: state the one"),
        (-1, 1, r"They fit \[-1, 1\]: state"),
        (0, 255, r"They fit \[0, 255\]: state"),
        (-2.1, 2.6, r"none of the usual .* images from which a mean was taken should be given without that"),
    ],
)
def test_floating_point_needs_bounds_and_the_range_is_shown(low, high, advice):
    raw = np.linspace(low, high, 20, dtype=np.float32)[:, None]
    with pytest.raises(ValueError, match=rf"^a: `bounds` should .* Found values from {low} to {high} in .* {advice}"):
        form_of(raw, bounds=None, source="a")


def test_bytes_have_bounds_of_their_own_which_are_said():
    form, notes = form_of(np.array([[0], [255]], np.uint8), bounds=None, source="a")
    assert form.bounds == (0.0, 1.0)
    assert notes == ("a: images in bytes are mapped from [0, 255] to [0, 1], as no `bounds` are given.",)


def test_bounds_of_somebody_else_are_noted():
    raw = np.linspace(0, 1, 20, dtype=np.float32)[:, None]
    _, (said,) = form_of(raw, bounds=(-1.0, 1.0), source="a")
    assert said.startswith("a: images fill only [0, 1] of the bounds [-1, 1]")
    assert form_of(raw, bounds=(0.0, 1.0), source="a")[1] == ()


def test_twelve_bits_in_sixteen_are_noted():
    _, (said,) = form_of(np.array([[7], [4001]], np.uint16), bounds=(0.0, 1.0), source="a")
    assert "reach 4001 of 65535" in said
    assert "`levels: 4095`" in said


@pytest.mark.parametrize(
    ("raw", "given", "message"),
    [
        (np.array([[0], [1]], np.uint8), {}, "images in bytes should reach 255, and these hold 0 and 1 alone"),
        (
            np.array([[0], [9]], np.int32),
            {},
            "`levels` should say the largest .* int32. Found .* 0 to 9",
        ),
        (np.array([[-9], [9]], np.int16), {"levels": 9}, r"should lie in \[0, 9\]. Found values from -9 to 9"),
        (np.array([[0], [9]], np.uint8), {"levels": 8}, r"should lie in \[0, 8\]. Found values from 0 to 9"),
        (np.array([[0], [9]], np.uint8), {"levels": 0}, "`levels` should be at least 1. Found 0"),
        (np.array([[0.0]]), {"levels": 8}, "`levels` should be left out for floating point. Found 8"),
        (np.array([[1j]]), {}, "images should be whole numbers or floating point. Found complex128"),
        (np.array([["a"]]), {}, "images should be whole numbers or floating point. Found <U1"),
        (np.array([[0.0]]), {"bounds": (1.0, 1.0)}, r"`bounds` should be a lowest value and a higher one"),
        (np.array([[9]], np.uint8), {"bounds": (1.0, 0.0)}, r"`bounds` should be a lowest value and a higher one"),
        (np.array([[9]], np.uint8), {"bounds": (0.0, np.inf)}, "need finite `bounds` to be mapped to"),
        (np.array([[2.0]], np.float16), {}, r"images should lie within \(-1.0, 1.0\). Found values from 2 to 2"),
        (np.array([[np.nan]]), {}, "images should not hold NaN. Found 1"),
        (np.array([[np.inf]]), {}, "images should not hold infinite values. Found 1"),
    ],
)
def test_what_cannot_be_right_is_refused(raw, given, message):
    with pytest.raises(ValueError, match=message):
        batch(raw, given.get("bounds", BOUNDS), given.get("levels"))


def test_bytes_of_zero_and_one_are_taken_once_it_is_said_what_one_means():
    raw = np.array([[0], [1]], np.uint8)
    assert batch(raw, (0.0, 1.0), 1).flatten().tolist() == [0, 1]
    assert batch(raw, (0.0, 1.0), 255)[1] == pytest.approx(1 / 255)

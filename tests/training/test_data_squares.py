"""Squares: sides of the paper, noise of the stated strength, and an exact residual without noise."""

import math

import pytest
import torch
from scipy.ndimage import gaussian_filter

from training.data import Squares
from training.data.squares import _smooth


@pytest.mark.parametrize(("size", "sides"), [(224, (88, 142)), (32, (12, 20)), (8, (2, 4))])
def test_squares_have_their_sides_and_are_centred(size, sides):
    for prototype, side in zip(Squares(size=size).prototypes, sides, strict=True):
        start = (size - side) // 2
        assert int((prototype == 0.5).sum()) == side**2
        assert (prototype[0, start : start + side, start : start + side] == 0.5).all()
        assert int((prototype == -0.5).sum()) == size**2 - side**2


@pytest.mark.parametrize("size", [224, 32, 8])
def test_noise_has_standard_deviation_one_half_per_image(size):
    deviation = _smooth(torch.randn(3, 1, size, size)).std(dim=(1, 2, 3))
    torch.testing.assert_close(deviation, torch.full((3,), 0.5))


def test_noise_is_smoothed_as_by_scipy():
    noise = torch.randn(1, 1, 64, 64)
    expected = gaussian_filter(noise[0, 0].numpy(), sigma=2.5, truncate=4, mode="mirror")
    expected *= 0.5 / expected.std(ddof=1)
    torch.testing.assert_close(_smooth(noise)[0, 0], torch.from_numpy(expected), rtol=0, atol=1e-5)


def test_pixels_that_are_not_clipped_show_square_and_noise():
    data = Squares(size=32, train_size=500)
    x, y, _ = data.split("train").__getitems__(range(500))
    offsets = (x - data.prototypes[y])[x.abs() < 1]
    inner = offsets[offsets.abs() < 0.5]  # noise of this size is never clipped
    share_within_quarter = float((inner.abs() < 0.25).double().mean())
    expected = math.erf(0.5 / 2**0.5) / math.erf(1 / 2**0.5)
    assert share_within_quarter == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("size", [224, 32])
def test_exact_residual_is_the_ring_between_the_squares(size):
    data = Squares(size=size)
    x, y = torch.rand(2, 1, size, size), torch.tensor([0, 1])
    small, large = data.prototypes
    residual = data.residual("exact")(x, y, 1 - y)
    assert torch.equal(residual, torch.stack([large - small, small - large]))


def test_exact_residual_has_its_known_length():
    # A ring of 20² − 12² = 16² pixels, each moved by 1.
    data = Squares(size=32)
    residual = data.exact_residual(torch.zeros(1, 1, 32, 32), torch.tensor([0]), torch.tensor([1]))
    assert float(residual.norm()) == 16.0


def test_samples_of_one_class_differ_by_noise_alone():
    data = Squares(size=32, train_size=600)
    x, y, _ = data.split("train").__getitems__(range(600))
    for label in (0, 1):
        centre = (x[y == label].mean(dim=0) > 0).float() - 0.5
        assert torch.equal(centre, data.prototypes[label])


def test_size_without_room_for_two_squares_is_refused():
    with pytest.raises(ValueError, match=r"`size` should be at least 8 pixels. Found 7"):
        Squares(size=7)


@pytest.mark.parametrize(("size", "name"), [(224, "Squares"), (32, "Squares32")])
def test_name_tells_the_size(size, name):
    assert Squares(size=size).name == name

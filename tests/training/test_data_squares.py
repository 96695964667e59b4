"""Squares: sides of the paper, noise of the stated strength, and an exact residual without noise."""

import math
from dataclasses import replace

import pytest
import torch

from alignment import cosine_similarity
from training.data import Squares
from training.data.squares import COARSE, NOISE


@pytest.mark.parametrize(("size", "sides"), [(224, (88, 142)), (32, (12, 20)), (8, (2, 4))])
def test_squares_have_their_sides_and_are_centred(size, sides):
    for prototype, side in zip(Squares(size=size).prototypes, sides, strict=True):
        start = (size - side) // 2
        assert int((prototype == 0.5).sum()) == side**2
        assert (prototype[0, start : start + side, start : start + side] == 0.5).all()
        assert int((prototype == -0.5).sum()) == size**2 - side**2


@pytest.mark.parametrize("noise", [COARSE, replace(NOISE[32], limit=math.inf)])
@pytest.mark.parametrize("size", [224, 32, 8])
def test_noise_has_its_standard_deviation_per_image(size, noise):
    deviation = noise(torch.randn(3, 1, size, size)).std(dim=(1, 2, 3))
    torch.testing.assert_close(deviation, torch.full((3,), noise.deviation))


@pytest.mark.parametrize("noise", [COARSE, NOISE[32]])
def test_one_bright_pixel_becomes_a_gaussian(noise):
    white = torch.zeros(1, 1, 41, 41)
    white[0, 0, 20, 20] = 1
    found = replace(noise, limit=math.inf)(white)[0, 0]
    steps = torch.arange(41.0) - 20
    squared = steps.square()[:, None] + steps.square()
    expected = torch.exp(-squared / (2 * noise.blur**2)) * found[20, 20]
    near = squared < (3 * noise.blur) ** 2
    torch.testing.assert_close(found[near], expected[near], rtol=1e-4, atol=0)


def noise_of(data):
    x, y, _ = data.split("test").__getitems__(range(1000))
    return x - data.prototypes[y]


def correlation(noise, lag):
    """Of pixels that lie so far apart in a row."""
    return float((noise[..., lag:] * noise[..., :-lag]).mean() / noise.square().mean())


def test_the_noise_of_squares32_is_the_paper_s():
    """Figures of the paper's program: ‖noise‖ 7.65, autocorrelation at a lag of two pixels .351."""
    noise = noise_of(Squares(size=32))
    assert float(noise.flatten(1).norm(dim=1).mean()) == pytest.approx(7.65, abs=0.03)
    assert correlation(noise, 2) == pytest.approx(0.351, abs=0.006)
    assert float(noise.abs().max()) == pytest.approx(0.5)
    # Of a Gaussian in two deviations: 4.55 % are clipped.
    assert float((noise.abs() > 0.4999).double().mean()) == pytest.approx(math.erfc(2**0.5), abs=0.005)


def test_the_noise_of_another_size_or_that_is_asked_for():
    coarse = noise_of(Squares(size=32, blur=2.5, deviation=0.5, limit=math.inf))
    assert correlation(coarse, 2) == pytest.approx(0.828, abs=0.02)  # clipped to the bounds with the square
    assert float(coarse.abs().max()) > 0.5
    assert correlation(noise_of(Squares(size=48)), 2) == pytest.approx(correlation(coarse, 2), abs=0.03)
    faint = noise_of(Squares(size=32, deviation=0.1))
    assert float(faint.flatten(1).norm(dim=1).mean()) == pytest.approx(3.2, abs=0.03)


def test_the_nearest_example_of_squares32_is_as_near_as_in_the_paper_s_program():
    data = Squares(size=32)
    x, y, _ = data.split("test").__getitems__(range(100))
    found, exact = (data.residual(name)(x, y, 1 - y) for name in ("nearest", "exact"))
    assert float(cosine_similarity(found, exact).value.mean()) == pytest.approx(0.799, abs=0.02)


def test_a_noiseless_square_is_as_similar_as_orthogonal_noise_allows():
    """Eq. 16 for a generator that draws the prototype: Δ̂x = Δx − noise, so that sim = 16 / √(16² + ‖noise‖²)."""
    data = Squares(size=32)
    x, y, _ = data.split("test").__getitems__(range(1000))
    found = cosine_similarity(data.prototypes[1 - y] - x, data.exact_residual(x, y, 1 - y)).value.mean()
    expected = 16 / (16**2 + 7.65**2) ** 0.5
    assert float(found) == pytest.approx(expected, abs=0.005) == 0.903


def test_noise_is_part_of_the_identity_as_it_is_and_not_as_it_was_asked_for():
    stated = Squares(size=32, blur=1.0, deviation=0.25, limit=0.5)
    assert stated.arguments == Squares(size=32).arguments
    assert stated.arguments["limit"] == 0.5
    other = Squares(size=32, blur=1.5).arguments
    assert {**other, "blur": 1.0} == stated.arguments != other
    assert Squares(size=48, blur=2.5).arguments == Squares(size=48).arguments


@pytest.mark.parametrize("given", [{"blur": 0.0}, {"deviation": math.inf}, {"limit": -1.0}, {"blur": math.nan}])
def test_noise_that_is_none_is_refused(given):
    (name,) = given
    with pytest.raises(ValueError, match=f"`{name}` of the noise should be positive"):
        Squares(size=32, **given)


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

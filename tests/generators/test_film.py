"""The U-Net whose blocks are told the classes."""

import pytest
import torch
from torch import nn

from generators.networks import FilmUNet, build_generator

BOUNDS = (-1.0, 1.0)


def made(shape: tuple[int, ...] = (3, 8, 8), **options: int) -> FilmUNet:
    torch.manual_seed(0)
    return FilmUNet(shape, 3, BOUNDS, **({"width": 4, "levels": 2} | options))


def moved(network: FilmUNet) -> FilmUNet:
    """The same with a last layer that is not zero."""
    nn.init.normal_(network.last.weight)
    return network


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 7, 10), (2, 5, 5)])
def test_residuals_have_the_shape_of_the_images_and_start_at_zero(shape: tuple[int, ...]) -> None:
    network, x, y = made(shape), torch.rand(2, *shape), torch.tensor([0, 2])
    found = network(x, y, 1 - y.clamp(max=1))
    assert found.shape == x.shape
    assert not found.any()
    assert moved(network)(x, y, 1 - y.clamp(max=1)).any()


def test_both_classes_are_told_and_no_sample_depends_on_another() -> None:
    network, x = moved(made()), torch.rand(4, 3, 8, 8)
    y, target = torch.tensor([0, 0, 1, 2]), torch.tensor([1, 2, 2, 0])
    whole = network(x, y, target)
    for row in range(4):
        one = slice(row, row + 1)
        torch.testing.assert_close(network(x[one], y[one], target[one]), whole[one])
        others = [(y[one] + 1) % 3, target[one]], [y[one], (target[one] + 1) % 3]
        assert not any(torch.allclose(network(x[one], *classes), whole[one]) for classes in others)


def test_it_is_made_by_its_name() -> None:
    assert isinstance(build_generator("film", shape=(1, 8, 8), num_classes=2, width=8, levels=1), FilmUNet)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"width": 6}, "`width` should be a multiple of 4. Found 6."),
        ({"width": 0}, "`width` should be at least 1. Found 0."),
        ({"levels": 0}, "`levels` should be at least 1. Found 0."),
        ({"shape": (8,)}, r"`shape` should be \(channels, height, width\). Found \(8,\)."),
    ],
)
def test_what_it_cannot_be_is_said(options: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        made(**options)

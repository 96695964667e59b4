"""A normalisation as people write it, and a network behind it."""

from typing import Any

import pytest
import torch
from torch import nn

from training import Normalized
from training.networks.normalization import NORMALIZATIONS, Normalization, normalization_of


@pytest.mark.parametrize(
    "given",
    ["0.5,0.25", "[0.5, 0.25]", (0.5, 0.25), ([0.5], [0.25]), {"mean": 0.5, "std": [0.25]}],
)
def test_every_form_means_the_same(given: Any) -> None:
    assert normalization_of(given) == Normalization((0.5,), (0.25,))


def test_names_and_none() -> None:
    assert normalization_of("none") is None
    assert normalization_of("imagenet") == NORMALIZATIONS["imagenet"]
    assert str(normalization_of("0.485,0.456,0.406,0.229,0.224,0.225")) == "imagenet"


@pytest.mark.parametrize("given", ["0.5", "0.5,0", "0.5,-1", "imagnet", 3, "0.1,0.2,0.3", "nan,1", {"mean": 0.5}])
def test_what_is_none_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match=r"`normalize` should be none, imagenet, .* Found "):
        normalization_of(given)


def test_the_scale_of_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="divide them by 255"):
        normalization_of("127.5,127.5")


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
def test_inputs_of_any_bounds_are_normalised_alike(bounds: tuple[float, float]) -> None:
    low, high = bounds
    unit = torch.rand(4, 3, 2, 2)
    known = NORMALIZATIONS["cifar10"]
    each = enumerate(zip(known.mean, known.std, strict=True))
    expected = torch.stack([(unit[:, c] - mean) / std for c, (mean, std) in each], dim=1)
    found = Normalized(nn.Identity(), "cifar10", bounds=bounds)(low + unit * (high - low))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_other_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`x` should have 3 channels.* Found \(2, 1, 4, 4\)"):
        Normalized(nn.Identity(), "imagenet", bounds=(0.0, 1.0))(torch.zeros(2, 1, 4, 4))
    with pytest.raises(ValueError, match="`bounds` should be two finite numbers"):
        Normalized(nn.Identity(), "imagenet", bounds=(0.0, float("inf")))

"""Edge regularisation: edges against SciPy's, and the penalty where its value is known."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from tests.alignment.classifiers import Answer, Counted
from training.edges import edge_penalty, edges_of


def images(size: int = 3, channels: int = 1, side: int = 12) -> Tensor:
    return torch.randn(size, channels, side, side, dtype=torch.float64)


def of_slope(slope: Tensor) -> Answer:
    """A classifier whose second logit has this gradient everywhere, and whose first has none."""
    return Answer(lambda x: torch.stack([0 * x.sum(dim=(1, 2, 3)), (x * slope).sum(dim=(1, 2, 3))], dim=1))


def ones(x: Tensor) -> Tensor:
    return torch.ones(len(x), dtype=torch.int64)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sigma", [0.6, 1.0])
def test_edges_are_those_of_scipy(channels: int, sigma: float) -> None:
    x, reach = images(2, channels), int(np.ceil(3 * sigma))

    def blurred(image: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(image, sigma, mode="mirror", radius=reach)

    expected = []
    for image in x.numpy():
        smooth = [blurred(channel) for channel in image]
        squares = sum((ndimage.sobel(part, axis=axis, mode="mirror") / 8) ** 2 for part in smooth for axis in (0, 1))
        expected.append(blurred(np.sqrt(squares)))
    torch.testing.assert_close(edges_of(x, sigma).squeeze(1), torch.from_numpy(np.stack(expected)))


def test_a_flat_image_has_no_edges_and_costs_nothing() -> None:
    flat = torch.full((2, 1, 8, 8), 0.3, dtype=torch.float64)
    assert edges_of(flat).abs().max() < 1e-15
    zero = torch.zeros_like(flat)
    assert edge_penalty(of_slope(torch.ones_like(flat[0])), zero, ones(zero)).item() == 0


@pytest.mark.parametrize(("scale", "expected"), [(7.0, 0.0), (-0.1, 4.0)])
def test_penalty_is_0_for_a_gradient_that_is_the_edges_and_4_for_the_opposite(scale: float, expected: float) -> None:
    x = images(1)
    penalty = edge_penalty(of_slope(scale * edges_of(x)[0]), x, ones(x))
    assert penalty.item() == pytest.approx(expected, abs=1e-12)
    magnitude = edge_penalty(of_slope(scale * edges_of(x)[0]), x, ones(x), magnitude=True)
    assert magnitude.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("magnitude", [False, True])
def test_penalty_is_the_mean_squared_error_of_the_published_form(magnitude: bool) -> None:
    """‖ g / rms(g) − E / rms(E) ‖² / n, with the rms of each sample."""
    x, slope = images(3, 2), torch.randn(2, 12, 12, dtype=torch.float64)
    given = (slope.abs().amax(dim=0, keepdim=True) if magnitude else slope).expand(3, -1, -1, -1)
    edges = edges_of(x).expand_as(given)
    parts = [part / part.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() for part in (given, edges)]
    expected = (parts[0] - parts[1]).square().mean()
    torch.testing.assert_close(edge_penalty(of_slope(slope), x, ones(x), magnitude=magnitude), expected)


def test_gradient_matches_finite_differences() -> None:
    x = images(2, side=4)

    def penalty(first: Tensor, second: Tensor) -> Tensor:
        classifier = Answer(lambda inputs: (inputs.flatten(1) @ first).tanh() @ second)
        return edge_penalty(classifier, x, ones(x))

    first, second = torch.randn(16, 2, dtype=torch.float64), torch.randn(2, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(penalty, (first.requires_grad_(), second.requires_grad_()), atol=1e-7, rtol=1e-5)


def test_known_logits_save_the_forward_pass_and_no_samples_need_none() -> None:
    x = images().requires_grad_()
    counted = Counted(of_slope(images(1)[0]))
    shared = edge_penalty(counted, x, ones(x), logits=counted(x))
    assert torch.equal(shared, edge_penalty(counted.network, x, ones(x)))
    assert edge_penalty(counted, x[:0], ones(x)[:0]).item() == 0
    assert counted.forwards == 1


@pytest.mark.parametrize("shape", [(8,), (1, 3, 8), (1, 8, 8, 8)])
def test_what_has_no_edges_is_refused(shape: tuple[int, ...], as_in_production: None) -> None:
    x = torch.zeros(2, *shape)
    with pytest.raises(ValueError, match=r"`x` should be images .* of at least 4×4 pixels .* at sigma 1.0. Found"):
        edge_penalty(of_slope(x[0]), x, ones(x))

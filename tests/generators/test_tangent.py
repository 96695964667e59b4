import pytest
import torch
from torch import Tensor

from alignment.span import share_in_span
from generators.examples import HeldExamples
from generators.tangent import LocalTangent


def examples(points: Tensor) -> HeldExamples:
    return HeldExamples(points, torch.arange(len(points)) % 2)


def plane(count: int, k: int, n: int, noise: float = 0.0) -> tuple[Tensor, Tensor]:
    """Points of an affine K-plane in N dimensions with noise, and an orthonormal basis of it."""
    basis = torch.linalg.qr(torch.randn(n, k, dtype=torch.float64)).Q.mT
    points = torch.randn(count, k, dtype=torch.float64) @ basis + torch.randn(n, dtype=torch.float64)
    return points + noise * torch.randn_like(points), basis


@pytest.mark.parametrize("neighbours", [4, 5, 40])
def test_of_points_in_a_plane_it_is_that_plane(neighbours: int) -> None:
    """From K + 1 neighbours on, to rounding; also from points off it."""
    points, basis = plane(40, 3, 10)
    found = LocalTangent(examples(points), neighbours=neighbours, dimensions=3)(points[:7] + torch.randn(7, 10))
    torch.testing.assert_close(found.mT @ found, (basis.mT @ basis).expand(7, -1, -1), atol=1e-9, rtol=0)


def test_noise_off_the_plane_tilts_it_by_as_little_as_it_is() -> None:
    """The sine of the tilt is about noise over spread: a hundredth here, so a ten-thousandth of the share."""
    points, basis = plane(3000, 2, 8, noise=0.01)
    tangent = LocalTangent(examples(points), neighbours=1500, dimensions=2)
    v = torch.randn(20, 8, dtype=torch.float64)
    share = share_in_span(v, tangent(points[:20])).value
    torch.testing.assert_close(share, share_in_span(v, basis.expand(20, -1, -1)).value, atol=0.01, rtol=0)


def test_on_a_circle_the_radius_is_normal() -> None:
    angle = torch.linspace(0, 2 * torch.pi, 2001, dtype=torch.float64)[:-1]
    points = torch.stack([angle.cos(), angle.sin()], dim=1)
    basis = LocalTangent(examples(points), neighbours=9, dimensions=1)(points[::100])
    assert share_in_span(points[::100], basis).value.max() < 1e-3


@pytest.mark.parametrize("block", [1, 7, 100])
def test_neighbours_are_those_of_a_plain_sort(block: int) -> None:
    points, queries = torch.randn(60, 2, 3), torch.randn(5, 2, 3)
    tangent = LocalTangent(examples(points), neighbours=6, dimensions=2)
    tangent.block = block
    distance = (queries[:, None] - points[None]).flatten(2).norm(dim=2)
    expected = points[distance.argsort(dim=1)[:, :6]].flatten(2).double()
    torch.testing.assert_close(tangent.nearest(queries), expected)


def test_other_examples_have_another_digest() -> None:
    points = torch.randn(20, 4)
    digests = [LocalTangent(examples(given), neighbours=9, dimensions=2).digest for given in (points, points.flip(0))]
    assert digests[0] != digests[1]


def test_what_cannot_be_is_refused() -> None:
    held = examples(torch.randn(20, 4))
    with pytest.raises(ValueError, match=r"`neighbours` should be at most the 20 examples. Found 21"):
        LocalTangent(held, neighbours=21, dimensions=2)
    with pytest.raises(ValueError, match=r"`dimensions` should be below `neighbours`, 3, .* Found 3"):
        LocalTangent(held, neighbours=3, dimensions=3)
    with pytest.raises(ValueError, match=r"at most the 4 numbers of an example. Found 5"):
        LocalTangent(held, neighbours=9, dimensions=5)
    with pytest.raises(ValueError, match=r"`dimensions` should be at least 1. Found 0"):
        LocalTangent(held, dimensions=0)
    with pytest.raises(ValueError, match=r"`x` should hold samples of shape \(4,\), as the examples. Found \(5,\)"):
        LocalTangent(held, neighbours=9, dimensions=2)(torch.zeros(1, 5))

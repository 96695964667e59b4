import math

import pytest
import torch
from torch import Tensor

from alignment.span import share_in_span


def planes(batch: int, k: int, n: int) -> Tensor:
    """Orthonormal bases of K vectors each, drawn at random."""
    return torch.linalg.qr(torch.randn(batch, n, k, dtype=torch.float64)).Q.mT


@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1.0, 1e15, 1e30])
def test_the_share_is_the_squared_cosine_of_the_angle_to_the_plane(scale: float) -> None:
    basis = planes(5, 2, 7).float()
    outside = torch.randn(5, 7)
    outside -= (basis @ outside[:, :, None]).mul(basis).sum(dim=1)
    within = (torch.randn(5, 1, 2) @ basis)[:, 0]
    angle = torch.tensor([0.0, 0.3, math.pi / 4, 1.2, math.pi / 2])
    unit = [part / part.norm(dim=1, keepdim=True) for part in (within, outside)]
    v = angle.cos()[:, None] * unit[0] + angle.sin()[:, None] * unit[1]
    share, valid = share_in_span(scale * v, basis)
    torch.testing.assert_close(share, angle.cos().square(), atol=1e-6, rtol=1e-5)
    assert valid.all()


def test_shares_of_a_space_and_of_the_rest_of_it_sum_to_one() -> None:
    whole, v = planes(6, 9, 9), torch.randn(6, 3, 3, dtype=torch.float64)
    parts = [share_in_span(v, whole[:, rows]).value for rows in (slice(0, 4), slice(4, 9))]
    torch.testing.assert_close(parts[0] + parts[1], torch.ones(6, dtype=torch.float64))
    assert (parts[0] > 0).all()
    assert (parts[0] < 1).all()


def test_a_random_direction_has_k_of_n_on_average() -> None:
    basis = planes(4000, 3, 12)
    assert float(share_in_span(torch.randn(4000, 12), basis).value.mean()) == pytest.approx(3 / 12, abs=0.01)


def test_a_zero_vector_has_no_share() -> None:
    share, valid = share_in_span(torch.zeros(2, 4), planes(2, 1, 4))
    assert share.tolist() == [0.0, 0.0]
    assert not valid.any()


def test_what_is_no_basis_is_refused() -> None:
    v = torch.ones(2, 4)
    with pytest.raises(ValueError, match=r"`basis` should be orthonormal. Found products off by 3"):
        share_in_span(v, 2 * planes(2, 1, 4))
    with pytest.raises(ValueError, match=r"`basis` should be of shape \(2, K, 4\).*Found \(2, 1, 5\)"):
        share_in_span(v, planes(2, 1, 5))
    with pytest.raises(ValueError, match="`v` should"):
        share_in_span(v * math.nan, planes(2, 1, 4))

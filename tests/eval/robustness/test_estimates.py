"""What radii are expected to be, on which the cost of a search depends."""

import pytest
import torch
from torch.distributions import Normal

from eval.robustness.estimates import Estimates


def test_quantile_is_where_as_many_are_expected_to_lie_below() -> None:
    predicted = torch.rand(301, dtype=torch.float64) + 0.1
    estimates = Estimates(predicted, torch.rand(301) < 0.9)
    for rank in (40, 150, 290):
        radius = estimates.quantile(rank)
        assert float(estimates.below(radius).sum()) == pytest.approx(rank + 0.5, rel=1e-4)


def test_probabilities_below_several_radii_are_those_below_each() -> None:
    predicted = torch.rand(20, dtype=torch.float64) + 0.1
    estimates = Estimates(predicted, torch.arange(20) > 2)
    radii = torch.tensor([0.1, 0.3, 2.0], dtype=torch.float64)
    together = estimates.below(radii)
    assert together.shape == (3, 20)
    for row, radius in zip(together, radii, strict=True):
        assert torch.equal(row, estimates.below(radius))
    free = Normal(estimates.prior, estimates.ratio.spread)
    assert torch.allclose(together[:, 3:], free.cdf(radii.log().unsqueeze(1))[:, 3:])
    assert (together[:, :3] == 1).all()  # misclassified: their radius is 0
